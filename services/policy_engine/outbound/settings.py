"""What accounts, domains and tenants may send, and what looks wrong: what policy is told."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field

from policy_engine.content.verdict import Levels
from policy_engine.outbound.limits import Defaults, parse_rates
from policy_engine.outbound.rules import RULES, Consequences, Thresholds
from posthouse.runtime.dkim_keys import DkimSettings
from posthouse.runtime.report_settings import address
from posthouse.storage.outbound.pausing import Consequence

_WORDS: dict[str, Consequence] = {"alert": "alert", "hold": "hold", "pause": "pause"}


def _rates(text: str) -> str:
    parse_rates(text)
    return text


def parse_consequences(text: str) -> Consequences:
    """Read ``volume=pause,networks=alert``; `ValueError`. Rules that are not named: ``alert``."""
    found: dict[str, Consequence] = dict.fromkeys(RULES, "alert")
    for part in filter(None, text.split(",")):
        rule, _, word = part.strip().partition("=")
        if rule not in RULES or word not in _WORDS:
            raise ValueError(
                f"must look like volume=pause,networks=alert (rules: {', '.join(RULES)}; "
                "each alert, hold or pause)"
            )
        found[rule] = _WORDS[word]
    return found


def _consequences(text: str) -> str:
    parse_consequences(text)
    return text


Rates: TypeAlias = Annotated[str, AfterValidator(_rates)]
Score: TypeAlias = Annotated[float, Field(ge=-1000, le=1_000_000)]
Threshold: TypeAlias = Annotated[int, Field(ge=0, le=1_000_000_000)]


class OutboundSettings(DkimSettings):
    """Who may send how much to the outside, and when that is a reason to look.

    Attributes:
        outbound_tag_score: Mail of this house with such a score is marked as spam; nothing: the levels
            are those of all mail.
        outbound_reject_score: It is refused.
        outbound_account_messages: Of one account: ``500/1h,2000/1d``; 0: no limit.
        outbound_account_recipients: Recipients outside; likewise.
        outbound_account_octets: Octets of its messages; likewise.
        outbound_domain_messages: Of all accounts of one domain; likewise what follows.
        outbound_tenant_messages: Of all domains of one tenant; likewise what follows.
        outbound_suspect_volume: Recipients outside in a day that are never too many; 0: not looked at.
        outbound_suspect_factor: Times the median of 14 days, which is too many beyond that.
        outbound_suspect_strangers: Different recipients outside in a day.
        outbound_suspect_failures: Recipients in a day that servers outside refuse for good.
        outbound_suspect_networks: Networks (/24, /48) that one account submits from, or logs in from,
            in an hour.
        outbound_suspect_spam: Messages in a day that look like spam.
        outbound_suspect_logins: Logins of one account in a day that fail.
        outbound_consequences: What is done then, by rule: alert, hold, pause.
        outbound_alert_address: Who is told of that; empty: postmaster.
    """

    outbound_tag_score: Score | None = None
    outbound_reject_score: Score | None = None
    outbound_account_messages: Rates = "0"
    outbound_account_recipients: Rates = "10000/1d"
    outbound_account_octets: Rates = "0"
    outbound_domain_messages: Rates = "0"
    outbound_domain_recipients: Rates = "0"
    outbound_domain_octets: Rates = "0"
    outbound_tenant_messages: Rates = "0"
    outbound_tenant_recipients: Rates = "0"
    outbound_tenant_octets: Rates = "0"
    outbound_suspect_volume: Threshold = 300
    outbound_suspect_factor: Annotated[float, Field(ge=1, le=10_000)] = 10.0
    outbound_suspect_strangers: Threshold = 1000
    outbound_suspect_failures: Threshold = 100
    outbound_suspect_networks: Threshold = 8
    outbound_suspect_spam: Threshold = 20
    outbound_suspect_logins: Threshold = 1000
    outbound_consequences: Annotated[str, AfterValidator(_consequences)] = (
        "volume=pause,strangers=pause,failures=hold,networks=alert,spam=pause"
    )
    outbound_alert_address: Annotated[str, AfterValidator(address)] = ""

    @property
    def outbound_levels(self) -> Levels | None:
        """The levels of mail of this house; None where they are those of all mail."""
        tag, reject = self.outbound_tag_score, self.outbound_reject_score
        if tag is None and reject is None:
            return None
        return Levels(tag=tag, quarantine=None, reject=reject)

    @property
    def outbound_defaults(self) -> Defaults:
        """The limits by scope and thing."""
        return {
            ("account", "messages"): parse_rates(self.outbound_account_messages),
            ("account", "recipients"): parse_rates(self.outbound_account_recipients),
            ("account", "octets"): parse_rates(self.outbound_account_octets),
            ("domain", "messages"): parse_rates(self.outbound_domain_messages),
            ("domain", "recipients"): parse_rates(self.outbound_domain_recipients),
            ("domain", "octets"): parse_rates(self.outbound_domain_octets),
            ("tenant", "messages"): parse_rates(self.outbound_tenant_messages),
            ("tenant", "recipients"): parse_rates(self.outbound_tenant_recipients),
            ("tenant", "octets"): parse_rates(self.outbound_tenant_octets),
        }

    @property
    def outbound_thresholds(self) -> Thresholds:
        """What is too much."""
        return Thresholds(
            volume=self.outbound_suspect_volume,
            factor=self.outbound_suspect_factor,
            strangers=self.outbound_suspect_strangers,
            failures=self.outbound_suspect_failures,
            networks=self.outbound_suspect_networks,
            spam=self.outbound_suspect_spam,
            logins=self.outbound_suspect_logins,
        )
