"""Limits: how much one client network, and one account, may ask of us in a time.

A stranger is counted by its network, whoever has logged in by account: an office behind one address
is many people, and one account may be used from many places. Beyond a limit everything is temporary
(421, 450, 454), because the next hour may be another's. Who is refused is not counted, so a steady
stream is let through at its rate.
"""

from __future__ import annotations

from dataclasses import dataclass

from ingress_smtp.replies import Reply, say
from posthouse.mail.rates import UNLIMITED, Buckets, Rate
from posthouse.runtime.rate_settings import Clients
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

_ON_AUTHENTICATION = b"53"  # RFC 4954 §6; wrong passwords have a limit of their own

TOO_MANY_CONNECTIONS = say(
    "421 4.7.0 Too many connections in a short time, try again later", closes=True
)
TOO_MANY_FAILURES = say("421 4.7.0 Too many failures, try again later", closes=True)
TOO_MANY_LOGINS = say("454 4.7.0 Too many logins in a short time, try again later")
TOO_MANY_MESSAGES = say("450 4.7.1 Too many messages in a short time, try again later")
TOO_MANY_RECIPIENTS = say("450 4.7.1 Too many recipients in a short time, try again later")
FAILED_TOO_OFTEN = say("450 4.7.1 Too many failures, try again later")

_LIMITED = counter(
    "posthouse_ingress_limited_total", "What was put off because of a rate.", "what", "who"
)
log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """The rates of one kind of client.

    Attributes:
        connections: Sessions begun; of an account, sessions logged in.
        messages: MAIL commands.
        recipients: RCPT commands.
        failures: Replies 5yz, but for those to AUTH.
    """

    connections: Rate = UNLIMITED
    messages: Rate = UNLIMITED
    recipients: Rate = UNLIMITED
    failures: Rate = UNLIMITED


FREE = Allowance()


class Limits:
    """Judges all sessions of this process, at once, by what is known of the other pods'."""

    def __init__(
        self,
        buckets: Buckets | None = None,
        clients: Clients | None = None,
        *,
        client: Allowance = FREE,
        account: Allowance = FREE,
    ) -> None:
        """Count in ``buckets``: strangers by ``client``, accounts by ``account``."""
        self._buckets = buckets or Buckets()
        self._clients = clients or Clients()
        self._client = client
        self._account = account

    def connection(self, client: str) -> Reply | None:
        """Count a connection; return what to say instead of the greeting, if it is one too many."""
        name = self._clients.name(client)
        if not name:
            return None
        if not self._buckets.has_room((name, "failures"), self._client.failures):
            return _limited(TOO_MANY_FAILURES, "failures", name)
        if not self._buckets.take((name, "connections"), self._client.connections):
            return _limited(TOO_MANY_CONNECTIONS, "connections", name)
        return None

    def login(self, account: str) -> Reply | None:
        """Count a login that succeeded; return what to say instead, if it is one too many."""
        if self._buckets.take((account, "connections"), self._account.connections):
            return None
        return _limited(TOO_MANY_LOGINS, "connections", account)

    def message(self, client: str, account: str) -> Reply | None:
        """Count a MAIL command; return what to say instead, if it is one too many."""
        name, allowed = self._subject(client, account)
        if not name:
            return None
        if not self._buckets.has_room((name, "failures"), allowed.failures):
            return _limited(FAILED_TOO_OFTEN, "failures", name)
        if not self._buckets.take((name, "messages"), allowed.messages):
            return _limited(TOO_MANY_MESSAGES, "messages", name)
        return None

    def recipient(self, client: str, account: str) -> Reply | None:
        """Count a RCPT command; return what to say instead, if it is one too many."""
        name, allowed = self._subject(client, account)
        if not name or self._buckets.take((name, "recipients"), allowed.recipients):
            return None
        return _limited(TOO_MANY_RECIPIENTS, "recipients", name)

    def replied(self, reply: Reply, client: str, account: str) -> bool:
        """Count ``reply`` if it is a failure; False if the session is to end because of it."""
        if not reply.wire.startswith(b"5") or reply.wire.startswith(_ON_AUTHENTICATION):
            return True
        name, allowed = self._subject(client, account)
        if not name:
            return True
        self._buckets.add((name, "failures"), allowed.failures)
        if self._buckets.has_room((name, "failures"), allowed.failures):
            return True
        _limited(TOO_MANY_FAILURES, "failures", name)
        return False

    def _subject(self, client: str, account: str) -> tuple[str, Allowance]:
        """Return who is counted, empty if nobody is, and what is allowed."""
        if account:
            return account, self._account
        return self._clients.name(client), self._client


def _limited(reply: Reply, what: str, name: str) -> Reply:
    _LIMITED.labels(what, "account" if "@" in name else "client").inc()
    log.info("limited", what=what, who=name, reply=str(reply))
    return reply
