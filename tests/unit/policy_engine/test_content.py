"""Judging content: authentication, checks and the verdict, without DNS or scanners of flesh."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

import pytest

from policy_engine.content.authenticated import Authenticated
from policy_engine.content.authenticating import Authenticating
from policy_engine.content.case import Case
from policy_engine.content.finding import Action, Finding
from policy_engine.content.pipeline import Check, Pipeline
from policy_engine.content.verdict import Levels, decide
from posthouse.authenticity.iprev import check_reverse
from posthouse.mail.answers import Answer
from posthouse.mail.errors import Unavailable
from support.names import FakeNames

LETTER = b"From: Anna <anna@a.test>\r\nSubject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\n\r\nhello\r\n"
ZONE = {
    "a.test": {"TXT": ["v=spf1 ip4:192.0.2.1 -all"], "A": ["192.0.2.1"]},
    "_dmarc.a.test": {"TXT": ["v=DMARC1; p=reject"]},
    "mx.a.test": {"A": ["192.0.2.1"], "TXT": ["v=spf1 a -all"]},
    "1.2.0.192.in-addr.arpa": {"PTR": ["mx.a.test"]},
    "9.2.0.192.in-addr.arpa": {"PTR": ["mx.a.test"]},
}
QUICK = timedelta(milliseconds=20)
PATIENT = timedelta(seconds=30)


def _case(client: str = "192.0.2.1", sender: str = "anna@a.test", auth: str = "") -> Case:
    return Case(
        id=UUID(int=7), client=client, hello="mx.a.test", sender=sender, auth=auth,
        recipients=("bert@b.test",), octets=LETTER, size=len(LETTER),
    )  # fmt: skip


@dataclass
class _Says:
    """A check that says the same of everything."""

    findings: Sequence[Finding] = ()
    name: str = "says"
    if_away: Action | None = None
    wants_all: bool = False
    of_ours: bool = False
    of_strangers: bool = True
    trouble: Exception | None = None
    waits_for: asyncio.Barrier | asyncio.Event | None = None

    async def __call__(self, case: Case) -> Sequence[Finding]:
        assert case.senders == Authenticated()
        if self.waits_for is not None:
            await self.waits_for.wait()
        if self.trouble is not None:
            raise self.trouble
        return self.findings


async def _nobody(_: Case) -> Authenticated:
    return Authenticated()


def _pipeline(*checks: Check) -> Pipeline:
    return Pipeline(_nobody, checks, Levels(), PATIENT)


def test_a_case_tells_what_stands_in_its_fields() -> None:
    case = _case()

    assert case.text_of("Subject") == "grüße"
    assert (case.authors, case.author_domains) == (("anna@a.test",), ("a.test",))
    assert (case.body, case.is_whole) == (b"hello\r\n", True)


def test_authors_of_internationalized_domains_are_known_by_their_a_labels() -> None:
    case = replace(_case(), octets="From: a@Grüße.test, b@xn--gre-6ka8l.test\r\n\r\n".encode())

    assert case.author_domains == ("xn--gre-6ka8l.test",)


@pytest.mark.parametrize(
    ("author", "action"),
    [
        (b"<ceo@a.test> <eve@b.test>", "quarantine"),
        (b"=?utf-8?q?ceo=40a.test?=", "quarantine"),
        (b"ceo@a.test\x00", "quarantine"),
        (b"((ceo@a.test", "quarantine"),
        (b'"ceo@a.test <ceo@a.test>', "quarantine"),
        (b"Ceo <eve@b.test> ceo@a.test", "quarantine"),
        ("ceo@a\N{IDEOGRAPHIC FULL STOP}test".encode(), "quarantine"),
        ("ceo@a\N{SOFT HYPHEN}.test".encode(), "quarantine"),
        ("eve@b.test, ceo@a\N{IDEOGRAPHIC FULL STOP}test".encode(), "quarantine"),
        ("ceo\N{FULLWIDTH COMMERCIAL AT}a.test".encode(), "quarantine"),
        (b'eve@b.test, "ceo@a.test"', "quarantine"),
        (b"ceo@[a.test]", "quarantine"),
        (b"eve@b.test" + b"," * 4096 + b"ceo@a.test", "quarantine"),
        (b"root, anna@b.test", "accept"),
        (b"ceo@[IPv6:2001:db8::1]", "accept"),
        (b"ceo@a.test.", "accept"),
        (b"ceo@[192.0.2.1]", "accept"),
        (b"root", "accept"),
        (b"root@localhost", "accept"),
        (b"Nobody:;", "accept"),
        (b"=?utf-8?q?ceo=40a.test?= <eve@b.test>", "accept"),
    ],
)
async def test_an_author_who_cannot_be_read_goes_to_junk(author: bytes, action: str) -> None:
    octets = b"From: " + author + b"\r\n\r\nhello\r\n"
    case = replace(_case(), octets=octets, size=len(octets))

    authenticate = Authenticating(FakeNames({}), "mx.b.test", PATIENT)
    judged = await Pipeline(authenticate, [], Levels(), PATIENT).judge(case)

    assert judged.judgement.action == action
    assert ("DMARC_PERMERROR" in judged.judgement.decided_by) is (action == "quarantine")


async def test_an_honest_sender_passes_everything() -> None:
    found = await Authenticating(FakeNames(ZONE), "mx.b.test", PATIENT)(_case())

    assert [str(each) for each in found.results("anna@a.test", "mx.a.test", "192.0.2.1")] == [
        'iprev=pass reason="mx.a.test" policy.iprev=192.0.2.1',
        'spf=pass reason="a" smtp.helo=mx.a.test',
        'spf=pass reason="ip4:192.0.2.1" smtp.mailfrom=anna@a.test',
        'dmarc=pass reason="p=reject dis=none" header.from=a.test',
    ]
    assert found.domains == {"a.test"}


async def test_a_forger_is_refused_because_the_author_s_domain_wants_it() -> None:
    authenticate = Authenticating(FakeNames(ZONE), "mx.b.test", PATIENT)

    judged = await Pipeline(authenticate, [], Levels(), PATIENT).judge(_case("192.0.2.9"))

    its = judged.judgement
    assert (its.action, its.decided_by, its.enhanced) == ("reject", ("DMARC_FAIL",), (5, 7, 1))
    assert {"SPF_FAIL", "IPREV_FAIL", "DMARC_FAIL"} <= {each.rule for each in its.findings}


async def test_names_that_nobody_answers_for_are_no_verdict() -> None:
    silent = frozenset({"a.test", "_dmarc.a.test", "mx.a.test", "1.2.0.192.in-addr.arpa"})
    authenticate = Authenticating(FakeNames({}, silent), "mx.b.test", PATIENT)

    judged = await Pipeline(authenticate, [], Levels(), PATIENT).judge(_case())

    assert judged.judgement.action == "accept"
    assert {"SPF_TEMPERROR", "DMARC_TEMPERROR"} <= {f.rule for f in judged.judgement.findings}


@dataclass
class _Hanging(FakeNames):
    """DNS that never answers for names with ``hangs``."""

    async def txt(self, name: str) -> Answer[str]:
        if "hangs" in name:
            await asyncio.Event().wait()
        return await super().txt(name)


async def test_a_forger_s_silent_nameservers_hold_up_no_verdict() -> None:
    signature = (
        b"DKIM-Signature: v=1; a=rsa-sha256; d=hangs%d.test; s=s; h=from; bh=AA==; b=AA==\r\n"
    )
    octets = b"".join(signature % n for n in range(5)) + LETTER
    case = replace(_case("192.0.2.9", "eve@hangs.test"), octets=octets, size=len(octets))

    authenticate = Authenticating(_Hanging(ZONE), "mx.b.test", QUICK)
    judged = await Pipeline(authenticate, [], Levels(), PATIENT).judge(case)

    its = judged.judgement
    assert (its.action, its.decided_by) == ("reject", ("DMARC_FAIL",))
    assert {each.why for each in judged.case.senders.signatures} == {"no answer in time"}


async def test_nobody_asks_about_an_account_s_own_mail() -> None:
    names = FakeNames(ZONE)

    found = await Authenticating(names, "mx.b.test", PATIENT)(_case(auth="anna@b.test"))

    assert found == Authenticated(auth="anna@b.test")
    assert not names.asked


async def test_checks_run_side_by_side() -> None:
    together = asyncio.Barrier(5)
    slow = [_Says(waits_for=together, name=f"slow{n}") for n in range(5)]

    judged = await _pipeline(*slow).judge(_case())

    assert [step.name for step in judged.steps] == ["authentication", *(c.name for c in slow)]
    assert not judged.judgement.findings


@pytest.mark.parametrize("away", [None, "tempfail"])
@pytest.mark.parametrize("trouble", [Unavailable("clamd is away"), None])
async def test_a_check_that_cannot_work_asks_for_what_it_wants_then(
    away: Action | None, trouble: Exception | None
) -> None:
    never = None if trouble else asyncio.Event()
    check = _Says(name="clamav", if_away=away, trouble=trouble, waits_for=never)

    its = (await Pipeline(_nobody, [check], Levels(), QUICK).judge(_case())).judgement

    assert [each.rule for each in its.findings] == ["CLAMAV_AWAY"]
    assert its.action == (away or "accept")
    assert its.enhanced == ((4, 7, 1) if away else (2, 0, 0))


@pytest.mark.parametrize(
    ("scores", "action", "is_spam"),
    [
        ((), "accept", False),
        ((3.0, 1.9), "accept", False),
        ((3.0, 2.0), "tag", True),
        ((3.0, 3.0), "quarantine", True),
        ((10.0, 5.0), "reject", True),
        ((20.0, -18.0), "accept", False),
    ],
)
def test_the_sum_decides_by_the_levels(
    scores: tuple[float, ...], action: str, *, is_spam: bool
) -> None:
    its = decide([Finding(rule=f"R{n}", score=s) for n, s in enumerate(scores)], Levels())

    assert (its.action, its.is_spam) == (action, is_spam)


def test_the_most_severe_wish_counts() -> None:
    wishes: tuple[Action, ...] = ("quarantine", "reject", "tag")

    its = decide([Finding(rule=wish.upper(), action=wish, text=wish) for wish in wishes], Levels())

    assert (its.action, its.decided_by, its.text) == ("reject", ("REJECT",), "reject")


def test_a_rule_that_refuses_has_its_own_words_though_the_points_refuse_too() -> None:
    listed = Finding(rule="DENY_LIST", score=100, action="reject", text="Not you")
    scanner = Finding(rule="RSPAMD", score=50, action="reject")

    its = decide([scanner, listed], Levels())
    assert (its.action, its.text, its.is_spam) == ("reject", "Not you", True)
    assert its.decided_by == ("RSPAMD", "DENY_LIST")
    assert decide([scanner], Levels()).text == "Message refused: it looks like spam"


def test_who_is_let_in_is_not_refused_by_his_score_but_by_a_virus() -> None:
    spam, friend = Finding(rule="SPAM", score=99), Finding(rule="FRIEND", action="accept")
    virus = Finding(rule="VIRUS", action="reject", text="virus")

    assert decide([spam, friend], Levels()).action == "accept"
    assert decide([spam, friend, virus], Levels()).decided_by == ("VIRUS",)


def test_what_is_only_tried_out_counts_for_nothing() -> None:
    its = decide([Finding(rule="NEW", score=50, action="reject", is_shadow=True)], Levels())

    assert (its.action, its.score, len(its.findings)) == ("accept", 0, 1)


@pytest.mark.parametrize(
    ("client", "result", "name"),
    [
        ("192.0.2.1", "pass", "mx.a.test"),
        ("::ffff:192.0.2.1", "pass", "mx.a.test"),
        ("192.0.2.9", "fail", ""),
        ("192.0.2.77", "permerror", ""),
        ("unknown", "permerror", ""),
    ],
)
async def test_a_client_s_name_is_proved_both_ways(client: str, result: str, name: str) -> None:
    found = await check_reverse(FakeNames(ZONE), client)

    assert (found.result, found.name) == (result, name)
