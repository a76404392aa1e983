"""Timetables of classes of mail: when mail to some, or from some, is tried again.

A class is ``to:`` or ``from:`` and a pattern of `posthouse.mail.patterns`. What has no class follows
the settings of the station.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from posthouse.mail.address import BadAddress
from posthouse.mail.patterns import pattern_key, sender_key
from posthouse.storage.directory.errors import DirectoryError, NoSuchEntry
from posthouse.storage.pool import Queries

TO, FROM = "to:", "from:"
MAX_CLASSES = 1000  # all of them are at hand in each process that delivers
MAX_DELAYS = 50

_SET = """
    insert into timetables (class, delays, warn_after, give_up)
    select $1, $2::interval[], $3, $4
     where (select count(*) from timetables where class <> $1) < $5
        on conflict (class) do update set delays = excluded.delays,
           warn_after = excluded.warn_after, give_up = excluded.give_up
"""
_REMOVE = "delete from timetables where class = $1"
_ALL = 'select class as "of", delays, warn_after, give_up from timetables order by class'


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassTimetable:
    """The timetable of one class.

    Attributes:
        of: The class: ``to:far.test``, ``to:.far.test``, ``to:*``, ``from:@ours.test``, ``from:<>``.
        delays: Pauses after the first, second ... attempt; the last one repeats.
        warn_after: Age at which the sender is told that it takes longer; None for never.
        give_up: Age at which it is bounced.
    """

    of: str
    delays: tuple[timedelta, ...]
    warn_after: timedelta | None
    give_up: timedelta


def class_key(text: str) -> str:
    """Return a class in the form in which it is kept; raise `BadAddress`."""
    if text.startswith(TO):
        return TO + pattern_key(text.removeprefix(TO))
    if text.startswith(FROM):
        return FROM + sender_key(text.removeprefix(FROM))
    raise BadAddress(f"a class begins with {TO} or {FROM}: {text}")


async def set_timetable(queries: Queries, table: ClassTimetable) -> None:
    """Set or replace the timetable of a class.

    Raises `BadAddress` if it is no class, `DirectoryError` if the pauses are none, or there are
    too many classes.
    """
    delays = table.delays
    if not 0 < len(delays) <= MAX_DELAYS or min(delays) <= timedelta():
        raise DirectoryError(f"a timetable has 1 to {MAX_DELAYS} pauses, none of them nothing")
    if table.give_up <= timedelta():
        raise DirectoryError("a timetable gives up after some time")
    key = class_key(table.of)
    values = (key, list(delays), table.warn_after, table.give_up, MAX_CLASSES)
    if not await queries.execute(_SET, *values):
        raise DirectoryError(f"there are {MAX_CLASSES} timetables already")


async def remove_timetable(queries: Queries, of: str) -> None:
    """Let a class follow the settings again; raise `NoSuchEntry`, `BadAddress`."""
    if not await queries.execute(_REMOVE, class_key(of)):
        raise NoSuchEntry(f"no timetable of {of}")


async def timetables(queries: Queries) -> tuple[ClassTimetable, ...]:
    """Return the timetables of all classes; they are few and set by hand."""
    return tuple(
        ClassTimetable(**{**dict(row), "delays": tuple(row["delays"])})
        for row in await queries.fetch(_ALL)
    )
