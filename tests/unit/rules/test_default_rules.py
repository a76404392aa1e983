"""The rules of the house: all of them run, honest mail passes, and what they are made for does not."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from posthouse.rules.compiled import Compiled, compile_rules
from posthouse.rules.defaults import default_rules
from posthouse.rules.letter import Letter
from posthouse.rules.reading import read_rules
from posthouse.rules.running import conclude, run

GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
HEADER = (
    "From: Anna Adler <anna@far.test>\r\nTo: bert@ours.test\r\nSubject: {subject}\r\n"
    "Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@far.test>\r\n\r\n"
)
PILLS = "Buy viagra online"
FORTUNE = (
    "Dear friend, I am the lawyer of your late father. 10.5 million dollars are yours, "
    "strictly confidential."
)
THREAT = (
    "I recorded you by your webcam. Send bitcoin within 48 hours to "
    "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"
)
PHISHING = (
    "Your mailbox is full and has been limited: verify your account at http://192.0.2.7/login"
)
PROVED = ("SPF_PASS", "DKIM_VALID")


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    read = read_rules(default_rules())
    assert read.faults == ()
    found = compile_rules(read.rules)
    assert found.faults == {}
    assert len([rule for rule in found.rules.values() if not rule.is_sub]) in range(30, 61)
    return found


def _points(
    compiled: Compiled, body: str, subject: str = "Lunch", others: Iterable[str] = PROVED
) -> dict[str, float]:
    letter = Letter(octets=(HEADER.format(subject=subject) + body).encode(), sender="anna@far.test")
    return {e.hit.rule.name: e.score for e in conclude(compiled, run(compiled, letter), others)}


@pytest.mark.parametrize(
    "body",
    [
        "Hello Bert,\r\n\r\nlunch at noon? https://cafe.test/menu\r\n\r\nAnna",
        "Please confirm the meeting of Tuesday.\r\n\r\n> Your mailbox is almost full\r\n",
        "The invoice over 12,500 euros is attached. Please transfer it within 14 days.",
    ],
)
def test_honest_mail_stays_far_below_the_tag_level(compiled: Compiled, body: str) -> None:
    assert sum(_points(compiled, body).values()) < 1.5


@pytest.mark.parametrize(
    ("subject", "body", "rules"),
    [
        ("x", GTUBE, "GTUBE"),
        ("CHEAP PILLS FOR YOU TODAY!!!", PILLS, "PH_SUBJECT_SHOUTS PH_SUBJECT_MARKS PH_PILLS"),
        ("Hello", FORTUNE, "PH_ADVANCE_FEE"),
        ("Hello", THREAT, "PH_COIN_THREAT PH_COIN_DEADLINE"),
        ("Notice", PHISHING, "PH_VERIFY_ACCOUNT PH_QUOTA PH_URI_RAW_IP PH_PHISHING"),
        ("Re: offer", "see http://far.test/tool.exe?x", "PH_FALSE_REPLY PH_URI_PROGRAM"),
        ("Hello", "http://paypal.test@evil.test/", "PH_URI_USER"),
    ],
)
def test_what_they_are_made_for_is_found(
    compiled: Compiled, subject: str, body: str, rules: str
) -> None:
    assert set(rules.split()) <= set(_points(compiled, body, subject, ("SPF_FAIL",)))


def test_the_test_string_is_beyond_every_level(compiled: Compiled) -> None:
    assert _points(compiled, GTUBE)["GTUBE"] == 1000.0
