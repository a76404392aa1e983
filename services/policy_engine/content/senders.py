"""What authentication says of a message, as findings: names for rules to build on, and DMARC's wish. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from policy_engine.content.authenticated import Authenticated
from policy_engine.content.finding import Action, Finding
from posthouse.authenticity.dkim import Dkim
from posthouse.authenticity.dmarc import Dmarc

DMARC_TEXT = "Message refused: its author's domain says it is forged (DMARC)"
_WISHES: dict[str, Action] = {"quarantine": "quarantine", "reject": "reject"}


def findings_on(senders: Authenticated) -> Iterator[Finding]:
    """Yield what was found; of itself only DMARC asks for something."""
    if senders.spf is not None:
        seen = senders.spf.why or senders.spf.mechanism
        yield Finding(
            rule=f"SPF_{senders.spf.result.upper()}", seen=f"{senders.spf.domain} {seen}".strip()
        )
    if senders.spf_hello is not None:
        yield Finding(
            rule=f"SPF_HELO_{senders.spf_hello.result.upper()}", seen=senders.spf_hello.domain
        )
    yield from _dkim(senders.signatures)
    yield from _arc(senders)
    if senders.reverse is not None:
        yield Finding(
            rule=f"IPREV_{senders.reverse.result.upper()}",
            seen=senders.reverse.why or senders.reverse.name,
        )
    if senders.dmarc is not None:
        yield _dmarc(senders.dmarc, senders.vouched)


def _dkim(signatures: Sequence[Dkim]) -> Iterator[Finding]:
    passed = [each.domain for each in signatures if each.result == "pass"]
    # Who only tries it out has not signed if it fails (RFC 6376 §3.6.1).
    signed = [each.domain for each in signatures if each.result == "pass" or not each.is_testing]
    if signed:
        yield Finding(rule="DKIM_SIGNED", seen=" ".join(signed))
        yield Finding(rule="DKIM_VALID" if passed else "DKIM_INVALID", seen=" ".join(passed))


def _arc(senders: Authenticated) -> Iterator[Finding]:
    arc = senders.arc
    if arc is not None and arc.result != "none":
        yield Finding(rule=f"ARC_{arc.result.upper()}", seen=arc.why or " ".join(arc.domains))
    if senders.vouched:
        yield Finding(rule="ARC_TRUSTED", seen=senders.vouched)
    if senders.awaited:
        yield Finding(
            rule="ARC_AWAITED",
            seen=senders.awaited,
            action="tempfail",
            text=f"DNS does not show the key of {senders.awaited} now, try again later",
            enhanced=(4, 4, 3),
        )


def _dmarc(found: Dmarc, vouched: str) -> Finding:
    does_fail = found.result in {"fail", "permerror"} and not vouched
    return Finding(
        rule=f"DMARC_{found.result.upper()}",
        seen=f"{found.domain} {found.why or found.disposition}".strip(),
        action=_WISHES.get(found.disposition) if does_fail else None,
        text=DMARC_TEXT,
        enhanced=(5, 7, 1),
    )
