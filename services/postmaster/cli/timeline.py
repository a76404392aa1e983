"""The way of a message as lines: the date once, then times, and how long each step took."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

SECOND = timedelta(seconds=1)
# A span is told in two units at most; the second one only if it is the next smaller.
UNITS = (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("min", timedelta(minutes=1)))


def lines(events: Sequence[Mapping[str, Any]], who: Mapping[int, str]) -> Iterator[dict[str, str]]:
    """Yield a line per event, and one with the date before the first of each day (UTC).

    Args:
        events: As the API tells them, in their order.
        who: The recipients' addresses by their numbers.
    """
    before: datetime | None = None
    for event in events:
        at = datetime.fromisoformat(event["at"])
        if before is None or at.date() != before.date():
            yield {"time": at.date().isoformat()}
        yield {
            "time": at.strftime("%H:%M:%S.") + f"{at.microsecond // 1000:03}",
            "after": "" if before is None else f"+{span(at - before)}",
            "service": event["service"],
            "what": event["what"],
            "recipient": who.get(event["recipient"], ""),
            "detail": event["detail"],
        }
        before = at


def span(length: timedelta) -> str:
    """Return a length of time as it is said: ``16 ms``, ``2.5 s``, ``5 min 20 s``, ``2 d 3 h``."""
    if length < SECOND:
        return f"{round(length / timedelta(milliseconds=1))} ms"
    if length < UNITS[-1][1]:
        return f"{length / SECOND:.1f} s"
    smaller = (*UNITS[1:], ("s", SECOND))
    unit, below = next(pair for pair in zip(UNITS, smaller, strict=True) if length >= pair[0][1])
    rest = length % unit[1] // below[1]
    return f"{length // unit[1]} {unit[0]}" + (f" {rest} {below[0]}" if rest else "")
