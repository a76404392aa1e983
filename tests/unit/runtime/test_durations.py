"""Durations in settings."""

from __future__ import annotations

from datetime import timedelta

import pytest

from posthouse.bus.topology import DELAYS
from posthouse.runtime.durations import nearest_delay, parse_duration, parse_durations, timetable

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("90", timedelta(seconds=90)),
        ("0", timedelta()),
        ("0.5s", timedelta(milliseconds=500)),
        ("30s", timedelta(seconds=30)),
        (" 5M ", 5 * MINUTE),
        ("4h", timedelta(hours=4)),
        ("5d", timedelta(days=5)),
        (MINUTE, MINUTE),
    ],
)
def test_a_duration_is_read(text: object, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize("text", ["", "5 minutes", "-5m", "5w", "m", "1e9", "9" * 10 + "d", None])
def test_anything_else_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="must be a duration"):
        parse_duration(text)


def test_durations_stand_in_a_row() -> None:
    assert parse_durations("5m, 1h,90") == (5 * MINUTE, 60 * MINUTE, timedelta(seconds=90))


@pytest.mark.parametrize("text", ["", ",", "5m,,1h", (), 7])
def test_no_durations_are_refused(text: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        parse_durations(text)


@pytest.mark.parametrize(
    ("wanted", "given"),
    [
        (timedelta(), DELAYS[0]),
        (timedelta(seconds=20), timedelta(seconds=30)),
        (10 * MINUTE, 5 * MINUTE),
        (11 * MINUTE, 15 * MINUTE),
        (timedelta(days=3), timedelta(hours=4)),
    ],
)
def test_a_pause_becomes_the_nearest_wait_queue(wanted: timedelta, given: timedelta) -> None:
    assert nearest_delay(wanted) == given


def test_a_warning_after_zero_is_no_warning() -> None:
    assert timetable((MINUTE,), timedelta(), MINUTE).warn_after is None
    assert timetable((MINUTE,), MINUTE, MINUTE).warn_after == MINUTE
