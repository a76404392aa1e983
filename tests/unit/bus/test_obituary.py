"""Why a letter is dead, and which letters died of the same."""

from datetime import UTC, datetime, timedelta

import pytest

from posthouse.bus.moves import BUG_WAITS, patience_after
from posthouse.bus.obituary import (
    MAX_REASON_CHARACTERS,
    History,
    compose,
    history_in,
    innermost,
    normalised,
)
from posthouse.bus.wire import decode
from posthouse.mail.errors import BadEnvelope, MissingObject

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def death_of(octets: bytes) -> Exception:
    try:
        decode(octets)
    except BadEnvelope as error:
        return error
    raise AssertionError


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("no object mail/2026/11/22/a.eml", "no object mail/2025/01/02/a.eml"),
        (
            "no row 01a20109-8a15-73ae-afba-4a05284ad2e1",
            "no row 01a2010b-2e05-7fa9-bdb5-14f77574c3f8",
        ),
        ("no account anna@example.test", "no account bert@else.example"),
        ("192.0.2.1 hung up", "198.51.100.77 hung up"),
        ("2001:db8::1 hung up", "2001:db8:0:1::2 hung up"),
        ("object at 0x7f8dcd3f8c50", "object at 0x7f8dcd22d6d0"),
    ],
)
def test_what_varies_between_equal_failures_is_normalised(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)


def test_different_failures_stay_different() -> None:
    assert normalised("no object") != normalised("no account")


def test_equal_failures_have_one_fingerprint() -> None:
    first = compose("local", "mail.local", MissingObject("gone 17"), History(), NOON)
    second = compose("local", "mail.local", MissingObject("gone 4711"), History(), NOON)

    assert first.fingerprint == second.fingerprint


@pytest.mark.parametrize(
    ("service", "road", "error"),
    [
        ("remote", "mail.local", MissingObject("gone")),
        ("local", "mail.inbound", MissingObject("gone")),
        ("local", "mail.local", BadEnvelope("gone")),
        ("local", "mail.local", MissingObject("away")),
    ],
)
def test_other_failures_have_another_fingerprint(service: str, road: str, error: Exception) -> None:
    known = compose("local", "mail.local", MissingObject("gone"), History(), NOON)

    assert compose(service, road, error, History(), NOON).fingerprint != known.fingerprint


def test_the_innermost_place_in_our_code_is_named_without_its_line() -> None:
    assert innermost(death_of(b"{")) == "posthouse/bus/wire.py:decode"
    assert innermost(ValueError("raised nowhere")) == ""


def test_an_obituary_tells_the_whole_history() -> None:
    history, later = History(failures=4, first_failed=NOON), NOON + timedelta(hours=1)

    obituary = compose("local", "mail.local", ValueError("a bug"), history, later)

    assert obituary.failures == 5
    assert obituary.first_failed == NOON
    assert obituary.last_failed == later
    assert obituary.reason == "ValueError: a bug"


def test_an_endless_reason_is_cut() -> None:
    obituary = compose("local", "mail.local", ValueError("x" * 100_000), History(), NOON)

    assert len(str(obituary.headers("mail.local")["posthouse-reason"])) == MAX_REASON_CHARACTERS


def test_a_history_survives_its_way_through_headers() -> None:
    history = History().once_more(NOON).once_more(NOON + timedelta(minutes=1))

    assert history_in(history.headers()) == history == History(failures=2, first_failed=NOON)
    assert History().headers() == {}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"posthouse-failures": "many", "posthouse-first-failed": NOON.isoformat()},
        {"posthouse-failures": 3, "posthouse-first-failed": "long ago"},
        {"posthouse-failures": 3, "posthouse-first-failed": 7},
        {"posthouse-failures": 3},
    ],
)
def test_nonsense_in_headers_counts_as_no_history(headers: dict[str, object]) -> None:
    assert history_in(headers) == History()


def test_a_bug_is_waited_out_longer_each_time_and_then_given_up() -> None:
    waits = [patience_after(failures) for failures in range(1, len(BUG_WAITS) + 2)]

    assert waits == [*sorted(BUG_WAITS), None]
