"""What ingress-smtp is told of rates."""

from __future__ import annotations

from ingress_smtp.limits import Allowance, Limits
from posthouse.mail.rates import Buckets
from posthouse.runtime.rate_settings import RateSetting, RateSettings, parse_rate


class LimitSettings(RateSettings):
    """Rates of a client network and of an account, over all pods; 0 is no limit.

    Attributes:
        rate_client_connections: Connections of one client network.
        rate_client_messages: Messages (MAIL) of one that has not logged in.
        rate_client_recipients: Recipients (RCPT) of one that has not logged in.
        rate_client_failures: Replies 5yz to one that has not logged in; then it is sent away.
        rate_account_connections: Sessions that log in as one account.
        rate_account_messages: Messages of one account, from wherever.
        rate_account_recipients: Recipients of one account.
        rate_account_failures: Replies 5yz to one account.
    """

    rate_client_connections: RateSetting = parse_rate("600/1m")
    rate_client_messages: RateSetting = parse_rate("3000/10m")
    rate_client_recipients: RateSetting = parse_rate("15000/10m")
    rate_client_failures: RateSetting = parse_rate("300/10m")
    rate_account_connections: RateSetting = parse_rate("600/10m")
    rate_account_messages: RateSetting = parse_rate("1000/1h")
    rate_account_recipients: RateSetting = parse_rate("5000/1h")
    rate_account_failures: RateSetting = parse_rate("300/1h")

    def limits(self, buckets: Buckets) -> Limits:
        """Return the limits, counted in ``buckets``."""
        return Limits(
            buckets,
            self.clients,
            client=Allowance(
                connections=self.rate_client_connections,
                messages=self.rate_client_messages,
                recipients=self.rate_client_recipients,
                failures=self.rate_client_failures,
            ),
            account=Allowance(
                connections=self.rate_account_connections,
                messages=self.rate_account_messages,
                recipients=self.rate_account_recipients,
                failures=self.rate_account_failures,
            ),
        )
