"""Never an open relay: every trick that has opened one, from the command line to the decision."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress_smtp.commands import Bad, Rcpt, parse
from policy_engine.admission import Grounds, judge, wanted
from policy_engine.decisions import Rules, plan
from policy_engine.srs import Rewriter
from posthouse.mail.admission import RcptQuestion
from posthouse.mail.envelope import InboundRecipient
from posthouse.mail.return_path import ReturnPaths
from posthouse.storage.directory import Network
from posthouse.storage.ledger import Kept
from support.directory import PaperDirectory
from support.relay_tricks import DENIED, DOMAINS, HERE, TRICKS

TODAY = date(2026, 11, 22)
REWRITER = Rewriter(b"0123456789abcdef")
STRANGER, FRIEND = "203.0.113.9", "192.0.2.7"
AWAY = "away"


@dataclass(frozen=True)
class Fate:
    """What becomes of a recipient: refused with ``status``, or accepted for ``where``."""

    status: str = ""
    where: str = ""


def house() -> PaperDirectory:
    paper = PaperDirectory(*DOMAINS)
    for domain in paper.domains:
        paper.account(f"anna@{domain}")
    return paper


def fate(line: bytes, client: str) -> Fate:
    """Return what becomes of ``line``, as ingress, admission and routing would have it."""
    command = parse(line)
    if isinstance(command, Bad):
        return Fate(status=str(command.reply).split()[1])
    assert isinstance(command, Rcpt)
    paper = house()
    question = RcptQuestion(recipient=command.recipient, sender="e@far.test", client=client)
    grounds = Grounds(
        known=paper.known(wanted(question)),
        networks=(Network(network=ip_network("192.0.2.0/24")),),
        rewriter=REWRITER,
        today=TODAY,
        hostname="mx.example.test",
    )
    verdict = judge(question, grounds)
    if not verdict.accepts:
        return Fate(status=verdict.status.dotted)
    recipient = InboundRecipient(n=0, address=command.recipient)
    rules = Rules(
        rewriter=REWRITER,
        returns=ReturnPaths(b"1" * 16),
        today=TODAY,
        hostname="mx.example.test",
    )
    known = paper.known(wanted(question))
    made = plan([recipient], "e@far.test", known, rules)
    assert not made.missing
    [decision] = made.decisions
    [branch] = [decision.to] if isinstance(decision, Kept) else decision.children
    return Fate(where=HERE if branch.road == "local" else AWAY)


@pytest.mark.parametrize(("path", "fortune"), TRICKS, ids=ascii)
def test_a_stranger_does_not_get_past_us(path: str, fortune: str) -> None:
    found = fate(f"RCPT TO:<{path}>".encode(), STRANGER)

    assert found == (Fate(where=HERE) if fortune == HERE else Fate(status=fortune))


@pytest.mark.parametrize(("path", "fortune"), TRICKS, ids=ascii)
def test_a_listed_network_relays_plain_addresses_and_no_detours(path: str, fortune: str) -> None:
    found = fate(f"RCPT TO:<{path}>".encode(), FRIEND)

    plain = fortune == DENIED and not path.partition("@")[0].strip('"').count("%")
    if plain and "[" not in path:
        assert found == Fate(where=AWAY)
    else:
        assert found == (Fate(where=HERE) if fortune == HERE else Fate(status=fortune))


@pytest.mark.parametrize(
    "line",
    [
        b"RCPT TO:<anna@example.test\x00@far.test>",
        b"RCPT TO:<x@far.test\x00.example.test>",
        b"RCPT TO:<x@far.test\t@example.test>",
        b"RCPT TO:<x@far.test\x0b@example.test>",
        b"RCPT TO:x@far.test",
        b"RCPT TO:<<x@far.test>@example.test>",
        b"RCPT TO:<anna@example.test><x@far.test>",
        b"RCPT TO: anna@example.test <x@far.test>",
        b"RCPT TO:<anna@example.test> <x@far.test>",
        b"RCPT TO:<anna@example.test\xff>",
        b"RCPT TO:<anna@example\xc0\xaetest>",
    ],
)
def test_what_no_grammar_allows_is_refused(line: bytes) -> None:
    assert fate(line, FRIEND).status in {"5.1.3", "5.5.2", "5.5.4"}


_PIECES = st.lists(
    st.sampled_from(
        ["x", "anna", "@", "@", "%", "!", ":", ",", ".", '"', "\\", "+", "[", "]", "<", "(", " ",
         "\0", "example.test", "far.test", "mx.example.test", "127.0.0.1", "IPv6:::1", "SRS0=",
         "\u3002", "\uff20", "\uff45xample.test", "stra\u00dfe.test", "\u200b", "xn--", "="]
    ),
    min_size=1,
    max_size=12,
)  # fmt: skip


@given(_PIECES)
def test_nothing_that_a_stranger_can_say_leads_out(pieces: list[str]) -> None:
    assert fate(f"RCPT TO:<{''.join(pieces)}>".encode(), STRANGER).where in {"", HERE}
