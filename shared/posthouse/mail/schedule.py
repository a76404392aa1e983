"""When a mail may start on its way and when it must have arrived (RFC 4865, RFC 2852). Pure.

Both travel as MAIL gave them, in one form, and count from the moment we took the mail, which its
id tells: so every station and every copy of an envelope reckons the same times.

    hold   ``for;3600`` or ``until;2026-12-01T09:00:00Z``: the value of Future-Release-Request too
    by     ``120;R``, ``-3;NT``: the by-value (RFC 2852 §4)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

MAX_SECONDS = 999_999_999  # 9 digits: RFC 4865 §3 (2), RFC 2852 §4
_INTERVAL = re.compile(r"[1-9][0-9]{0,8}")  # RFC 4865 §3 (2), future-release-integer
_DATE_TIME_UTC = re.compile(  # RFC 3339 §5.6, normalized to UTC: RFC 4865 §3 (4)
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
    r"(?:[Zz]|[+-]00:00)"
)
_BY = re.compile(r"([+-]?[0-9]{1,9});([NR])(T?)")


@dataclass(frozen=True, slots=True)
class Deadline:
    """What BY asks for (RFC 2852 §4).

    Attributes:
        at: When the time is over (UTC).
        returns: Mode R: then the mail is returned. Else, mode N, its sender is told.
        traced: Each server that hands the mail on tells its sender.
        is_told: The sender was told that it is over, by us or before the mail came here.
    """

    at: datetime
    returns: bool
    traced: bool = False
    is_told: bool = False

    def is_over(self, now: datetime) -> bool:
        """True if the time is over."""
        return now >= self.at

    def left(self, now: datetime) -> int:
        """Return the whole seconds that are left, negative for those past."""
        return max(-MAX_SECONDS, (self.at - now) // timedelta(seconds=1))

    def by_value(self, now: datetime) -> str:
        """Return what the next server is told (RFC 2852 §4.1.4).

        Nothing left means that the sender was told: as long as that is not so, a second is left, so
        that the next server tells (not done: §4.1.4 would have what is past told in any case).
        """
        left = self.left(now) if self.is_told else max(1, self.left(now))
        return f"{left};{'R' if self.returns else 'N'}{'T' if self.traced else ''}"


def hold_for(text: str) -> str:
    """Read ``HOLDFOR=`` (RFC 4865 §3 (4)): no zero, in front neither; raise `ValueError`."""
    if not _INTERVAL.fullmatch(text):
        raise ValueError("no interval in seconds")
    return f"for;{text}"


def hold_until(text: str) -> str:
    """Read ``HOLDUNTIL=`` (RFC 4865 §3 (4)), a date-time in UTC; raise `ValueError`."""
    if not _DATE_TIME_UTC.fullmatch(text):
        raise ValueError("no date-time in UTC")
    try:
        return f"until;{utc(datetime.fromisoformat(text.upper()).astimezone(UTC))}"
    except (OverflowError, ValueError) as bad:
        raise ValueError("no date-time of this calendar") from bad


def by_value(text: str) -> str:
    """Read ``BY=`` (RFC 2852 §4): mode R must leave some time; raise `ValueError`."""
    match = _BY.fullmatch(text.upper())
    if match is None or (match[2] == "R" and int(match[1]) <= 0):
        raise ValueError("no by-value")
    return f"{int(match[1])};{match[2]}{match[3]}"


def release_of(hold: str, arrived: datetime) -> datetime:
    """Return when mail that arrived then may start on its way: never before it came."""
    if not hold:
        return arrived
    kind, _, value = hold.partition(";")
    if kind == "for":
        return arrived + timedelta(seconds=int(value))
    return max(arrived, datetime.fromisoformat(value))


def deadline_of(by: str, arrived: datetime) -> Deadline | None:
    """Return what BY asks for of mail that arrived then; None if it was not given."""
    if not by:
        return None
    seconds, _, mode = by.partition(";")
    return Deadline(
        at=arrived + timedelta(seconds=int(seconds)),
        returns=mode.startswith("R"),
        traced=mode.endswith("T"),
        is_told=int(seconds) <= 0,
    )


def utc(moment: datetime) -> str:
    """Write ``moment`` to the second (RFC 3339 §5.6); a part of one counts as whole."""
    if moment.microsecond:
        moment += timedelta(seconds=1) - timedelta(microseconds=moment.microsecond)
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
