"""Who signs, who is believed, what leaves again, and what others are told of a message. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from policy_engine.content.authenticated import Authenticated
from policy_engine.content.case import Case
from policy_engine.content.dmarc_tally import DmarcTally, result_of
from policy_engine.content.finding import SEVERITY, Action
from policy_engine.content.leaving import leaves_house
from policy_engine.content.pipeline import Judged
from policy_engine.content.senders import findings_on
from policy_engine.content.signing import domains_of, is_authors
from policy_engine.content.verdict import Judgement
from posthouse.authenticity.arc import Arc
from posthouse.authenticity.arc.vouching import voucher
from posthouse.authenticity.dkim import Dkim
from posthouse.authenticity.dmarc import Dmarc
from posthouse.authenticity.dmarc.discovery import Published
from posthouse.authenticity.dmarc.record import Policy, parse
from posthouse.authenticity.spf import Spf
from posthouse.storage.directory import Alias, Domain, Forward, Found

SAID = b"ARC-Authentication-Results: i=1; l.test; dkim=pass; dmarc=pass header.from=a.test\r\n"
FORGED = b'ARC-Authentication-Results: i=1; x.test; dmarc=fail reason="; dmarc=pass header.from=a.test"\r\n'
_ENDS: tuple[Action, ...] = ("tempfail", "reject")
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def chain(*sets: tuple[str, bytes], result: str = "pass") -> Arc:
    return Arc(
        result=result,  # type: ignore[arg-type]  # of a parameter
        domains=tuple(domain for domain, _ in sets),
        selectors=("s",) * len(sets),
        results=tuple(said for _, said in sets),
    )


@pytest.mark.parametrize(
    ("arc", "believed"),
    [
        (None, ""),
        (chain(("l.test", SAID)), "l.test"),
        (chain(("l.test", SAID), result="fail"), ""),
        (chain(("x.test", SAID)), ""),
        (chain(("l.test", SAID), ("x.test", b"")), ""),  # a stranger sealed last
        (chain(("x.test", SAID), ("l.test", FORGED)), ""),
        (chain(("l.test", SAID), ("m.test", FORGED)), "l.test"),
        (chain(("l.test", SAID.replace(b"a.test", b"b.test"))), ""),
        (chain(("l.test", SAID.replace(b"dmarc", b"(dmarc"))), ""),
    ],
)
def test_whom_we_believe(arc: Arc | None, believed: str) -> None:
    assert voucher(arc, "a.test", {"l.test", "m.test"}) == believed


def a_case(senders: Authenticated, head: bytes = b"From: x@a.test\r\n\r\n", auth: str = "") -> Case:
    return Case(
        id=UUID(int=1), client="192.0.2.1", sender="y@far.test", auth=auth, octets=head,
        size=len(head), senders=senders,
    )  # fmt: skip


def failing(record: str = "v=DMARC1; p=reject; rua=mailto:r@a.test", vouched: str = "") -> Case:
    read = parse(record)
    assert read is not None
    found = Dmarc(
        result="fail",
        domain="a.test",
        published=Published("a.test", read),
        policy="reject",
        disposition="reject",
    )
    return a_case(
        Authenticated(
            spf=Spf(result="pass", domain="far.test"),
            signatures=(Dkim(result="fail", domain="a.test", selector="s" * 300),),
            dmarc=found,
            vouched=vouched,
        )
    )


def test_a_failure_is_reported_as_it_was() -> None:
    result = result_of(failing(), NOW)
    assert result is not None
    facts = result.facts
    assert (result.domain, facts.author, facts.sender) == ("a.test", "a.test", "far.test")
    assert (facts.disposition, facts.dkim, facts.spf, facts.reason) == ("reject", False, False, "")
    assert (facts.spf_domain, facts.spf_scope, facts.spf_result) == ("far.test", "mfrom", "pass")
    assert facts.published == "p=reject; sp=reject; np=reject; adkim=r; aspf=r; pct=100; fo=0"
    assert len(facts.signatures[0].selector) == 255
    assert {each.rule: each.action for each in findings_on(failing().senders)}[
        "DMARC_FAIL"
    ] == "reject"


def test_a_trusted_sealer_is_the_reason_why_nothing_was_done() -> None:
    case = failing(vouched="l.test")
    result = result_of(case, NOW)
    assert result is not None
    assert (result.facts.disposition, result.facts.reason) == ("none", "local_policy")
    found = {each.rule: each.action for each in findings_on(case.senders)}
    assert found["DMARC_FAIL"] is None
    assert "ARC_TRUSTED" in found
    [said] = [str(each) for each in case.senders.results("", "", "") if each.method == "dmarc"]
    assert 'reason="p=reject dis=none local_policy.arc=l.test"' in said


def test_while_dns_hides_the_key_of_a_trusted_sealer_the_sender_tries_again() -> None:
    senders = replace(failing().senders, awaited="l.test")
    found = {each.rule: each for each in findings_on(senders)}
    assert found["ARC_AWAITED"].action == "tempfail"
    assert found["ARC_AWAITED"].enhanced == (4, 4, 3)
    assert SEVERITY["tempfail"] > SEVERITY["reject"]


@pytest.mark.parametrize(
    ("tags", "disposition", "reason"),
    [
        ("pct=20", "quarantine", ("sampled_out", "")),
        ("t=y", "quarantine", ("other", "policy_test_mode (t=y)")),
        ("pct=100", "reject", ("", "")),
    ],
)
def test_why_not_what_is_published_was_done(
    tags: str, disposition: Policy, reason: tuple[str, str]
) -> None:
    case = failing(f"v=DMARC1; p=reject; {tags}; fo=d:1:x; rua=mailto:r@a.test")
    found = case.senders.dmarc
    assert found is not None
    senders = replace(case.senders, dmarc=replace(found, disposition=disposition))
    result = result_of(replace(case, senders=senders), NOW)
    assert result is not None
    assert (result.facts.reason, result.facts.comment) == reason
    assert result.facts.disposition == disposition
    assert result.facts.published.endswith("; fo=1:d")


def test_the_sealers_that_are_believed_are_told() -> None:
    case = failing(vouched="l.test")
    began = SAID.replace(b"dkim=pass", b'arc=none smtp.remote-ip="2001:db8::1a"')
    senders = replace(case.senders, arc=chain(("far.test", began), ("l.test", SAID)))
    result = result_of(replace(case, senders=senders), NOW)
    assert result is not None
    assert result.facts.comment == (
        "arc=pass as[2].d=l.test as[2].s=s as[1].d=far.test as[1].s=s remote-ip[1]=2001:db8::1a"
    )


async def test_what_is_put_off_is_counted_when_it_comes_again() -> None:
    written = []

    class Table:
        async def execute(self, _: str, *columns: object) -> int:
            written.append(columns[-2])  # how many
            return 1

    tally = DmarcTally(Table())  # type: ignore[arg-type]  # it executes, and no more is needed
    put_off, refused = (
        Judged(case=failing(), judgement=Judgement(action=action, score=0)) for action in _ENDS
    )
    for judged in (put_off, put_off, refused):
        tally.hear(judged)
    await tally.flush()
    assert written == [(1,)]


def test_who_wants_no_reports_is_not_counted() -> None:
    assert result_of(failing("v=DMARC1; p=reject"), NOW) is None
    assert result_of(a_case(Authenticated()), NOW) is None
    case = failing()
    assert case.senders.dmarc is not None
    doubt = replace(case.senders, dmarc=replace(case.senders.dmarc, result="temperror"))
    assert result_of(replace(case, senders=doubt), NOW) is None


@pytest.mark.parametrize(
    ("head", "auth", "domains"),
    [
        (b"From: x@a.test\r\n\r\n", "y@b.test", ["a.test", "b.test"]),
        (b"From: x@A.test\r\nFrom: z@c.test\r\n\r\n", "", ["a.test"]),
        ("From: x@bücher.test\r\n\r\n".encode(), "", ["xn--bcher-kva.test"]),
        (b"Subject: x\r\n\r\n", "y@b.test", ["b.test"]),
        (b"Subject: x\r\n\r\n", "", []),
    ],
)
def test_whose_keys_are_asked_for(head: bytes, auth: str, domains: list[str]) -> None:
    case = a_case(Authenticated(), head, auth)
    assert domains_of(case) == domains
    assert is_authors(case, "a.test") == (domains[:1] == ["a.test"])


HERE = Domain(domain="a.test", catch_all=None)


async def _directory(keys: Sequence[str]) -> Mapping[str, Found]:
    known = {
        "list@a.test": Found(
            key="list@a.test", domain=HERE,
            alias=Alias(address="list@a.test", targets=("in@a.test", "deep@a.test"), owner=None),
        ),
        "deep@a.test": Found(
            key="deep@a.test", domain=HERE,
            alias=Alias(address="deep@a.test", targets=("x@far.test",), owner=None),
        ),
        "loop@a.test": Found(
            key="loop@a.test", domain=HERE,
            alias=Alias(address="loop@a.test", targets=("loop@a.test",), owner=None),
        ),
        "gone@a.test": Found(
            key="gone@a.test", domain=HERE,
            forward=Forward(address="gone@a.test", targets=("x@far.test",), keep_copy=False),
        ),
    }  # fmt: skip
    ours = Domain(domain="c.test", catch_all="x@far.test")
    return {
        key: known.get(key)
        or Found(
            key=key,
            domain=HERE if key.endswith("@a.test") else ours if key.endswith("@c.test") else None,
        )
        for key in keys
    }


@pytest.mark.parametrize(
    ("recipients", "leaves"),
    [
        (["in@a.test"], False),
        (["x@far.test"], True),
        (["in@a.test", "list@a.test"], True),
        (["loop@a.test"], False),
        (["gone@a.test"], False),  # nobody's account: its forward rests
        (["nobody@c.test"], True),
        (["no address"], False),
    ],
)
async def test_what_leaves_again(recipients: list[str], leaves: bool) -> None:  # noqa: FBT001 - a table
    assert await leaves_house(recipients, _directory) is leaves
