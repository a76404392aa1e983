"""Windows of time in which a way is open: ``daily 02:00-04:00``, ``mon-fri 22:00-06:00, sat 12:00-13:00``.

Local time of a zone that stands at the end (``daily 02:00-04:00 Europe/Berlin``), else UTC. A span
that ends before it begins ends on the next day; from a time to the same time is a whole day.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

MAX_SPANS = 20
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEK = 7
_SPAN = re.compile(
    rf"(?P<days>daily|(?P<first>{'|'.join(_DAYS)})(?:-(?P<last>{'|'.join(_DAYS)}))?) +"
    r"(?P<from>[0-9]{2}:[0-9]{2})-(?P<to>[0-9]{2}:[0-9]{2})"
)
_ZONE = re.compile(r"(?P<spans>.*[0-9])(?: +(?P<zone>[A-Za-z][A-Za-z0-9_+/-]{0,60}))?")


class BadWindows(ValueError):
    """The text is no list of windows."""


@dataclass(frozen=True, slots=True)
class Span:
    """One window on some days of the week.

    Attributes:
        days: 0 is Monday.
        begins: Local time.
        ends: Local time; not later than ``begins``: on the next day.
    """

    days: frozenset[int]
    begins: time
    ends: time


@dataclass(frozen=True, slots=True)
class Windows:
    """When a way is open.

    Attributes:
        spans: Never empty.
        zone: Whose local time they are in.
    """

    spans: tuple[Span, ...]
    zone: tzinfo = UTC

    def opens_in(self, now: datetime) -> timedelta:
        """Return how long it is until the way is open; zero while it is."""
        starts: list[timedelta] = []
        for begin, end in self._around(now):
            if begin <= now < end:
                return timedelta()
            if begin > now:
                starts.append(begin - now)
        return min(starts)

    def _around(self, now: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Yield the windows from yesterday to this day in a week and one, in UTC."""
        today = now.astimezone(self.zone).date()
        for offset in range(-1, _WEEK + 2):
            day = today + timedelta(days=offset)
            for span in self.spans:
                if day.weekday() in span.days:
                    last = day + timedelta(days=1) if span.ends <= span.begins else day
                    begin = datetime.combine(day, span.begins, self.zone)
                    end = datetime.combine(last, span.ends, self.zone)
                    yield begin.astimezone(UTC), end.astimezone(UTC)


def parse_windows(text: str) -> Windows:
    """Read windows; raise `BadWindows` with words for the operator."""
    match = _ZONE.fullmatch(text.strip())
    if match is None:
        raise BadWindows("must look like: daily 02:00-04:00, or: mon-fri 22:00-06:00 Europe/Berlin")
    parts = match["spans"].lower().split(",")
    if len(parts) > MAX_SPANS:
        raise BadWindows(f"at most {MAX_SPANS} windows")
    return Windows(tuple(_span(part.strip()) for part in parts), _zone(match["zone"]))


def _span(text: str) -> Span:
    match = _SPAN.fullmatch(text)
    try:
        if match is None:
            raise ValueError(text)
        begins, ends = time.fromisoformat(match["from"]), time.fromisoformat(match["to"])
    except ValueError as wrong:
        raise BadWindows(f"not a window like mon-fri 22:00-06:00: {text}") from wrong
    return Span(_days(match["first"], match["last"]), begins, ends)


def _days(first: str | None, last: str | None) -> frozenset[int]:
    if first is None:
        return frozenset(range(_WEEK))
    begin = _DAYS.index(first)
    count = (_DAYS.index(last or first) - begin) % _WEEK
    return frozenset((begin + n) % _WEEK for n in range(count + 1))


def _zone(name: str | None) -> tzinfo:
    try:
        return ZoneInfo(name) if name else UTC
    except (ValueError, OSError, KeyError) as unknown:  # ZoneInfoNotFoundError is a KeyError
        raise BadWindows(f"not a time zone: {name}") from unknown
