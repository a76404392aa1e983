"""Windows of time: when a way is open."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.windows import BadWindows, parse_windows


def _left(text: str, now: str) -> timedelta:
    return parse_windows(text).opens_in(datetime.fromisoformat(f"{now}+00:00"))


# 2026-11-20 is a Friday; Berlin is an hour before UTC in winter, and two in summer.
@pytest.mark.parametrize(
    ("text", "now", "hours"),
    [
        ("daily 02:00-04:00", "2026-11-20T01:00", 1),
        ("daily 02:00-04:00", "2026-11-20T02:00", 0),
        ("daily 02:00-04:00", "2026-11-20T03:59:59", 0),
        ("daily 02:00-04:00", "2026-11-20T04:00", 22),
        ("mon-thu 02:00-04:00", "2026-11-20T04:00", 70),
        ("fri 02:00-04:00", "2026-11-20T04:00", 7 * 24 - 2),
        ("fri-mon 22:00-06:00", "2026-11-21T03:00", 0),
        ("thu 22:00-06:00", "2026-11-20T03:00", 0),
        ("thu 22:00-06:00", "2026-11-20T07:00", 6 * 24 + 15),
        ("DAILY 02:00-02:00", "2026-11-20T01:59", 0),
        ("sat 12:00-13:00, fri 10:00-11:00", "2026-11-20T09:00", 1),
        ("daily 02:00-04:00 Europe/Berlin", "2026-11-20T01:30", 0),
        ("daily 02:00-04:00 Europe/Berlin", "2026-07-20T01:30", 0),
        ("daily 02:00-04:00 Europe/Berlin", "2026-07-20T02:30", 21.5),
        ("daily 02:00-03:00 Europe/Berlin", "2026-03-29T00:59", 1 / 60),  # that hour does not exist
    ],
)
def test_a_way_opens(text: str, now: str, hours: float) -> None:
    assert _left(text, now) == timedelta(hours=hours)


@pytest.mark.parametrize(
    "text",
    [
        "", "daily", "daily 2:00-4:00", "daily 25:00-26:00", "daily 02:00", "someday 02:00-04:00",
        "mon-xxx 02:00-04:00", "daily 02:00-04:00,", "daily 02:00-04:00 Nowhere/Atall",
        "daily 02:00-04:00 ../etc/passwd", "daily 02:00-04:00 /etc/passwd",
        ", ".join(["daily 02:00-04:00"] * 21),
    ],
)  # fmt: skip
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(BadWindows, match=r"."):
        parse_windows(text)


@given(st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)))  # noqa: DTZ001
def test_after_that_time_the_way_is_open(now: datetime) -> None:
    text = "mon-fri 22:00-02:30, sun 01:00-03:00 Europe/Berlin"
    left = _left(text, now.isoformat())

    assert timedelta() <= left <= timedelta(days=7)
    assert _left(text, (now + left).isoformat()) == timedelta()
