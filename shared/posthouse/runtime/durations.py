"""Durations in settings: ``90``, ``30s``, ``5m``, ``4h``, ``5d``; and the timetable made of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator
from pydantic_settings import NoDecode

from posthouse.bus.topology import DELAYS
from posthouse.mail.timetable import Timetable

_UNITS = {"": "seconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)([smhd]?)")


def parse_duration(text: object) -> timedelta:
    """Read ``90`` (seconds), ``30s``, ``5m``, ``4h`` or ``5d``; raise `ValueError` otherwise."""
    if isinstance(text, timedelta):
        return text
    match = _DURATION.fullmatch(str(text).strip().lower())
    if match is None:
        raise ValueError("must be a duration like 90, 30s, 5m, 4h or 5d")
    return timedelta(**{_UNITS[match[2]]: float(match[1])})


def parse_durations(text: object) -> tuple[timedelta, ...]:
    """Read durations with commas between them; raise `ValueError` if there is none."""
    parts: Sequence[object] = text.split(",") if isinstance(text, str) else tuple(_each(text))
    if not parts:
        raise ValueError("must be one or more durations like 5m,15m,1h")
    return tuple(map(parse_duration, parts))


def duration_words(duration: timedelta) -> str:
    """Write a duration as `parse_duration` reads it, in the largest unit that is exact."""
    seconds = duration.total_seconds()
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"


def _each(value: object) -> Sequence[object]:
    return value if isinstance(value, Sequence) else ()


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Durations = Annotated[tuple[timedelta, ...], NoDecode, BeforeValidator(parse_durations)]


def nearest_delay(wanted: timedelta) -> timedelta:
    """Return the wait queue that is nearest to ``wanted``; the shorter of two equals."""
    return min(DELAYS, key=lambda delay: abs(delay - wanted))


def timetable(delays: Sequence[timedelta], warn_after: timedelta, give_up: timedelta) -> Timetable:
    """Return the timetable of these settings; a ``warn_after`` of zero warns never."""
    return Timetable(
        delays=tuple(map(nearest_delay, delays)),
        warn_after=warn_after or None,
        give_up=give_up,
    )
