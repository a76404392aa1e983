"""The header as it is stored: fields of ours on top, forged ones gone, the Subject marked once."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_engine.content.authenticated import Authenticated
from policy_engine.content.case import Case
from policy_engine.content.composing import MAX_TESTS, composed
from policy_engine.content.finding import Action, Finding
from policy_engine.content.pipeline import Judged
from policy_engine.content.verdict import Judgement
from posthouse.authenticity.dkim.headers import Header

HOST = "mx.b.test"
STAMPS = (
    b"Received: from a.test by mx.b.test;\r\n\tnow\r\nAuthentication-Results: mx.b.test; none\r\n"
)
THEIRS = b"From: <anna@a.test>\r\nSubject: one\r\nSubject: two\r\n\r\n"


def _judged(octets: bytes, action: Action = "accept", auth: str = "", *rules: str) -> Judged:
    case = Case(
        id=UUID(int=7), client="192.0.2.1", hello="a.test", sender="anna@a.test", auth=auth,
        octets=octets, size=len(octets), senders=Authenticated(auth=auth),
    )  # fmt: skip
    findings = tuple(Finding(rule=rule, score=3.55) for rule in rules)
    score = sum(each.score for each in findings)
    return Judged(case=case, judgement=Judgement(action=action, score=score, findings=findings))


def test_results_of_ours_stand_on_top_and_once() -> None:
    forged = b"Authentication-Results: MX.b.test (x); dkim=pass\r\n"
    others = b"Authentication-Results: mx.else.test; dkim=pass\r\n"

    found = composed(_judged(STAMPS + forged + others + THEIRS), HOST, tag_at=5)

    assert found == (
        b"Authentication-Results: mx.b.test; none\r\n"
        b"Received: from a.test by mx.b.test;\r\n\tnow\r\n" + others + THEIRS
    )


@pytest.mark.parametrize("action", ["tag", "quarantine"])
def test_spam_is_marked_for_mail_programs_and_for_people(action: Action) -> None:
    found = composed(
        _judged(STAMPS + THEIRS, action, "", "A_RULE", "B_RULE"), HOST, tag_at=5, prefix="[SPAM]"
    )

    assert b"X-Spam-Flag: YES\r\nX-Spam-Score: 7.1\r\nX-Spam-Level: *******\r\n" in found
    assert b"\r\nX-Spam-Status: Yes, score=7.1 required=5.0 tests=A_RULE,B_RULE\r\n" in found
    assert found.endswith(b"Subject: [SPAM] one\r\nSubject: two\r\n\r\n")


def test_a_message_without_subject_gets_one_when_it_is_marked() -> None:
    found = composed(_judged(STAMPS + b"\r\n", "tag"), HOST, tag_at=5, prefix="[SPAM]")

    assert Header(found).all(b"subject") == [b"Subject: [SPAM]\r\n"]


@pytest.mark.parametrize(("auth", "stays"), [("", False), ("anna@b.test", True)])
def test_nobody_else_tells_our_readers_what_is_spam(auth: str, *, stays: bool) -> None:
    lies = b"X-Spam-Flag: NO\r\nX-SPAM-Status: No,\r\n\tscore=-99\r\nX-Spam-Report: fine\r\n"
    lies += b"X-Spammy: kept\r\n"

    found = composed(_judged(STAMPS + lies + THEIRS, "accept", auth), HOST, tag_at=5)

    assert (b"score=-99" in found, b"X-Spam-Flag" in found) == (stays, stays)
    assert (b"X-Spam-Report" in found) is stays
    assert b"X-Spammy: kept\r\n" in found


def test_what_is_no_spam_says_its_points_so_that_readers_have_a_level_of_their_own() -> None:
    found = composed(_judged(STAMPS + THEIRS, "accept", "", "A_RULE"), HOST, tag_at=5)
    ours = composed(_judged(STAMPS + THEIRS, "accept", "anna@b.test", "A_RULE"), HOST, tag_at=5)

    assert (
        b"X-Spam-Level: ***\r\nX-Spam-Status: No, score=3.5 required=5.0 tests=A_RULE\r\n" in found
    )
    assert b"X-Spam-Flag" not in found
    assert b"X-Spam" not in ours


def test_many_rules_are_folded_behind_commas_as_spamassassin_does() -> None:
    names = [f"RULE_{n:03}" for n in range(30)]

    found = composed(_judged(STAMPS + THEIRS, "tag", "", *names), HOST, tag_at=5)

    (field,) = Header(found).all(b"x-spam-status")
    lines = field.decode().split("\r\n")[:-1]
    assert all(len(line.expandtabs(8)) <= 78 for line in lines)
    assert all(line.endswith(",") for line in lines[:-1])
    assert field.decode().replace("\r\n\t", "").endswith(f"tests={','.join(names)}\r\n")


@pytest.mark.parametrize(
    ("subject", "marked"),
    [
        (b"=?utf-8?q?Gr=C3=BC=C3=9Fe?=", b"[SPAM] =?utf-8?q?Gr=C3=BC=C3=9Fe?="),
        (b"[SPAM] again", b"[SPAM] again"),
        (b"\r\n folded", b"[SPAM] \r\n folded"),
        (b"x" * 985, b"[SPAM]\r\n " + b"x" * 985),
    ],
)
def test_a_subject_is_marked_once_however_it_is_written(subject: bytes, marked: bytes) -> None:
    octets = STAMPS + b"Subject: " + subject + b"\r\n\r\n"

    found = composed(_judged(octets, "tag"), HOST, tag_at=5, prefix="[SPAM]")

    assert Header(found).all(b"subject") == [b"Subject: " + marked + b"\r\n"]


def test_however_many_rules_there_are_the_field_stays_small() -> None:
    judged = _judged(STAMPS + THEIRS, "tag", "", *(f"RULE_{n}" for n in range(5000)))

    assert composed(judged, HOST, tag_at=5).count(b"RULE_") == MAX_TESTS


@given(st.binary(max_size=300), st.sampled_from(["accept", "tag", "quarantine"]), st.text())
def test_whatever_came_below_it_is_a_header_and_the_body_stays(
    octets: bytes, action: Action, rule: str
) -> None:
    judged = _judged(STAMPS + octets.replace(b"\r\n\r\n", b"") + b"\r\n\r\nbody", action, "", rule)

    found = composed(judged, HOST, tag_at=5, prefix="*")

    assert found.endswith(b"\r\n\r\n")
    assert found.find(b"\r\n\r\n") == len(found) - 4
    again = replace(judged.case, octets=found + b"body")
    assert again.body == b"body"
