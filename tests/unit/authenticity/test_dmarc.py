"""DMARC: alignment, the tree walk, policies, and who is drawn."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.authenticity.dkim import Dkim
from posthouse.authenticity.dmarc import Dmarc, evaluate
from posthouse.authenticity.dmarc.discovery import Walks, _steps
from posthouse.authenticity.dmarc.record import Record, is_dmarc, parse
from posthouse.authenticity.spf import Spf, SpfResult
from support.names import FakeNames

REJECT = "v=DMARC1; p=reject"


def _names(silent: frozenset[str] = frozenset(), **records: str) -> FakeNames:
    """DNS with DMARC records by domain, dots written as two underscores."""
    zone = {f"_dmarc.{name.replace('__', '.')}": {"TXT": [text]} for name, text in records.items()}
    return FakeNames(zone, frozenset(silent))


def _spf(domain: str, result: SpfResult = "pass") -> Spf:
    return Spf(result=result, domain=domain, why="timeout" if result == "temperror" else "")


def _dkim(domain: str) -> Dkim:
    return Dkim(result="pass", domain=domain)


async def _evaluated(
    names: FakeNames, author: str, spf: Spf | None = None, *signatures: Dkim, lot: int = 0
) -> Dmarc:
    return await evaluate(names, [author], spf, signatures, lot)


@pytest.mark.parametrize(
    ("record", "spf", "signed", "result"),
    [
        (REJECT, "a.test", "", "pass"),
        (REJECT, "bounces.a.test", "", "pass"),
        (REJECT, "", "a.test", "pass"),
        (REJECT, "", "mail.a.test", "pass"),
        (REJECT, "b.test", "b.test", "fail"),
        (REJECT, "evila.test", "", "fail"),
        (REJECT, "", "", "fail"),
        (REJECT + "; aspf=s", "bounces.a.test", "", "fail"),
        (REJECT + "; aspf=s", "a.test", "", "pass"),
        (REJECT + "; adkim=s", "", "mail.a.test", "fail"),
        (REJECT + "; adkim=s", "bounces.a.test", "mail.a.test", "pass"),
    ],
)
async def test_alignment(record: str, spf: str, signed: str, result: str) -> None:
    signatures = [_dkim(signed)] if signed else []

    found = await _evaluated(_names(a__test=record), "a.test", _spf(spf or "x.test"), *signatures)

    assert found.result == result
    assert found.disposition == ("reject" if result == "fail" else "none")


async def test_what_did_not_pass_proves_nothing() -> None:
    broken = Dkim(result="fail", domain="a.test")

    found = await _evaluated(_names(a__test=REJECT), "a.test", _spf("a.test", "softfail"), broken)

    assert (found.result, found.by_spf, found.by_dkim) == ("fail", False, None)


async def test_who_nobody_could_tell_is_no_forger() -> None:
    names = _names(a__test=REJECT)

    assert (await _evaluated(names, "a.test", _spf("a.test", "temperror"))).result == "temperror"
    silent = FakeNames({}, frozenset({"_dmarc.a.test"}))
    found = await _evaluated(silent, "a.test", _spf("a.test"))
    assert (found.result, found.disposition) == ("temperror", "none")


async def test_a_stranger_s_silent_nameserver_is_no_doubt() -> None:
    names = _names(a__test=REJECT)
    silent = [Dkim(result="temperror", domain=domain, why="timeout") for domain in ("b.test",) * 3]

    found = await _evaluated(names, "a.test", _spf("b.test", "temperror"), *silent)
    assert (found.result, found.disposition) == ("fail", "reject")

    own = Dkim(result="temperror", domain="mail.a.test", why="timeout")
    assert (await _evaluated(names, "a.test", None, *silent, own)).result == "temperror"


@pytest.mark.parametrize(
    ("record", "author", "policy"),
    [
        ("v=DMARC1; p=reject; sp=none", "a.test", "reject"),
        ("v=DMARC1; p=reject; sp=none", "mail.a.test", "none"),
        ("v=DMARC1; p=none; np=reject", "missing.a.test", "reject"),
        ("v=DMARC1; p=none; np=reject", "there.a.test", "none"),
        ("v=DMARC1; p=quarantine", "deep.down.a.test", "quarantine"),
    ],
)
async def test_policies_of_what_lies_below(record: str, author: str, policy: str) -> None:
    names = FakeNames({"_dmarc.a.test": {"TXT": [record]}, "there.a.test": {"A": ["192.0.2.1"]}})

    found = await _evaluated(names, author, None)

    assert (found.result, found.policy, found.disposition) == ("fail", policy, policy)


async def test_a_domain_s_own_record_counts_before_its_organization_s() -> None:
    names = _names(a__test=REJECT, mail__a__test="v=DMARC1; p=none")

    assert (await _evaluated(names, "mail.a.test")).policy == "none"
    assert (await _evaluated(names, "mail.a.test", _spf("a.test"))).result == "pass"


async def test_a_public_suffix_parts_what_lies_below_it() -> None:  # DMARCbis §4.10.2
    names = _names(co__test="v=DMARC1; p=none; psd=y", a__co__test=REJECT)

    assert (await _evaluated(names, "a.co.test", _spf("mail.a.co.test"))).result == "pass"
    assert (await _evaluated(names, "a.co.test", _spf("b.co.test"))).result == "fail"
    lonely = await _evaluated(names, "b.co.test", _spf("mail.b.co.test"))
    assert (lonely.result, lonely.published and lonely.published.domain) == ("pass", "co.test")


async def test_a_part_of_a_house_may_stand_alone() -> None:  # psd=n
    names = _names(a__test=REJECT, uni__a__test=REJECT + "; psd=n")

    assert (await _evaluated(names, "uni.a.test", _spf("x.uni.a.test"))).result == "pass"
    assert (await _evaluated(names, "uni.a.test", _spf("a.test"))).result == "fail"


def test_a_walk_asks_eight_names_at_most() -> None:  # DMARCbis §4.10.1
    assert _steps("a.test") == ["a.test", "test"]
    walk = _steps("a.b.c.d.e.f.g.h.i.j.mail.example.com")
    assert walk[0] == "a.b.c.d.e.f.g.h.i.j.mail.example.com"
    assert walk[1:3] == ["g.h.i.j.mail.example.com", "h.i.j.mail.example.com"]
    assert len(walk) == 8


async def test_nothing_is_asked_twice() -> None:
    names = _names(a__test=REJECT)

    await _evaluated(names, "x.a.test", _spf("y.a.test", "pass"), _dkim("z.a.test"))

    assert max(names.asked.values()) == 1
    assert await Walks(names).are_aligned("b.test", "b.test")


@pytest.mark.parametrize(
    ("record", "lot", "disposition"),
    [
        ("v=DMARC1; p=reject; pct=30", 29, "reject"),
        ("v=DMARC1; p=reject; pct=30", 30, "quarantine"),
        ("v=DMARC1; p=quarantine; pct=0", 0, "none"),
        ("v=DMARC1; p=reject; t=y", 0, "quarantine"),
    ],
)
async def test_who_is_drawn(record: str, lot: int, disposition: str) -> None:
    found = await _evaluated(_names(a__test=record), "a.test", lot=lot)

    assert found.disposition == disposition


@pytest.mark.parametrize(
    ("authors", "result"),
    [
        ([], ("none", "none")),
        (["a.test", "a.test"], ("fail", "reject")),
        (["b.test", "a.test"], ("fail", "reject")),  # §6.6.1: the strictest of those that fail
        (["c.test", "a.test"], ("fail", "reject")),
        (["c.test", "b.test"], ("fail", "quarantine")),
        (["d.test", "a.test"], ("fail", "reject")),
        (["d.test", "e.test"], ("pass", "none")),
        (["d.test", *(f"{n}.test" for n in range(4))], ("permerror", "quarantine")),
    ],
)
async def test_messages_with_no_author_or_many(authors: list[str], result: tuple[str, str]) -> None:
    names = _names(
        a__test=REJECT, b__test="v=DMARC1; p=none", c__test="v=DMARC1; p=quarantine", d__test=REJECT
    )

    found = await evaluate(names, authors, _spf("d.test"), [], 0)

    assert (found.result, found.disposition) == result


@pytest.mark.parametrize(
    ("text", "record"),
    [
        ("v=DMARC1", None),
        ("v=DMARC1; p=maybe", None),
        ("v=DMARC1; rua=mailto:r@a.test", Record(policy="none", subdomains="none", missing="none",
                                                 reports_to=("r@a.test",))),
        ("v = DMARC1 ; p = Reject ; pct=x; aspf=z", Record(policy="reject", subdomains="reject",
                                                           missing="reject")),
        ("v=DMARC1;p=none;sp=reject;rua=mailto:a@x.test!10m,https://x.test,mailto:b@x.test",
         Record(policy="none", subdomains="reject", missing="reject",
                reports_to=("a@x.test", "b@x.test"))),
    ],
)  # fmt: skip
def test_records(text: str, record: Record | None) -> None:
    assert is_dmarc(text)
    assert parse(text) == record


def test_other_versions_are_no_records() -> None:
    assert not is_dmarc("v=DMARC12; p=none")
    assert not is_dmarc("p=none; v=DMARC1")


async def test_two_records_are_none() -> None:  # RFC 7489 §6.6.3
    names = FakeNames({"_dmarc.a.test": {"TXT": [REJECT, REJECT, "other"]}})

    assert (await _evaluated(names, "a.test")).result == "none"


@given(st.text(max_size=200))
def test_any_text_is_a_record_or_none(text: str) -> None:
    record = parse("v=DMARC1;" + text)
    assert record is None or record.policy in {"none", "quarantine", "reject"}
