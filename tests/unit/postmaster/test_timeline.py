"""A message's way as lines, and lengths of time as words."""

from __future__ import annotations

from datetime import timedelta

import pytest

from postmaster.cli.letters import STEP_COLUMNS
from postmaster.cli.output import listing
from postmaster.cli.timeline import lines, span

WHO = {0: "bert@example.test"}


def event(at: str, what: str, recipient: int | None = None) -> dict[str, object]:
    return {
        "at": at,
        "service": "delivery-remote",
        "what": what,
        "recipient": recipient,
        "detail": f"{what} by mx.elsewhere.test",
    }


EVENTS = [
    event("2026-11-22T23:59:58.009161Z", "accepted"),
    event("2026-11-22T23:59:58.025300Z", "routed", 0),
    event("2026-11-23T00:05:18.5Z", "relayed", 0),
]


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (timedelta(0), "0 ms"),
        (timedelta(microseconds=15_888), "16 ms"),
        (timedelta(seconds=2.54), "2.5 s"),
        (timedelta(minutes=5), "5 min"),
        (timedelta(minutes=5, seconds=20), "5 min 20 s"),
        (timedelta(hours=1, seconds=59), "1 h"),
        (timedelta(days=2, hours=3, minutes=5), "2 d 3 h"),
    ],
)
def test_a_length_of_time_is_said_in_two_units_at_most(length: timedelta, words: str) -> None:
    assert span(length) == words


def test_the_date_stands_once_a_day_and_each_step_tells_how_long_it_took() -> None:
    told = list(lines(EVENTS, WHO))

    assert [(line["time"], line.get("after")) for line in told] == [
        ("2026-11-22", None),
        ("23:59:58.009", ""),
        ("23:59:58.025", "+16 ms"),
        ("2026-11-23", None),
        ("00:05:18.500", "+5 min 20 s"),
    ]
    assert [line.get("recipient") for line in told] == [None, "", WHO[0], None, WHO[0]]


def test_a_message_without_events_has_no_lines() -> None:
    assert list(lines([], WHO)) == []


def test_on_a_narrow_terminal_no_time_and_no_address_is_broken(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    listing(list(lines(EVENTS, WHO)), STEP_COLUMNS, as_json=False, empty="")

    out = capsys.readouterr().out
    assert "+5 min 20 s" in out
    assert out.count("bert@example.test") == 2
    assert "23:59:58.025" in out
    assert max(map(len, out.splitlines())) <= 80
