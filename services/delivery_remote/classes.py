"""Which timetable a mail follows: that of its class, set by operators, else that of the settings.

Of the classes it may have the first of these counts: to the domain itself, to all below the nearest
domain above it; from the sender, from its domain, from all below the nearest domain above that;
``to:*``. Mail without a sender is given up sooner in any case, and nobody is warned of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import TracebackType

from posthouse.mail.envelope import Remote
from posthouse.mail.errors import Unavailable
from posthouse.mail.patterns import EVERYTHING, patterns_of, sender_patterns_of
from posthouse.mail.timetable import Timetable
from posthouse.runtime.durations import timetable
from posthouse.storage.pool import Pool
from posthouse.storage.timetables import FROM, TO, ClassTimetable, timetables
from posthouse.telemetry.outages import Outage

FRESH = timedelta(seconds=3)  # a change by an operator is seen after this time


@dataclass(slots=True, kw_only=True)
class Classes:
    """The timetables that count; `Followed` keeps them fresh.

    Attributes:
        usual: For mail with a sender.
        bounces: For mail with the null sender, which nobody waits for.
    """

    usual: Timetable
    bounces: Timetable
    _set: dict[str, Timetable] = field(default_factory=dict)

    def learn(self, tables: Iterable[ClassTimetable]) -> None:
        """Take over what operators have set."""
        self._set = {
            each.of: replace(
                timetable(each.delays, each.warn_after or timedelta(), each.give_up),
                jitter=self.usual.jitter,
            )
            for each in tables
        }

    def of(self, envelope: Remote) -> Timetable:
        """Return when ``envelope`` is tried again, and for how long."""
        classes = _classes_of(envelope) if self._set else ()
        found = next(filter(None, map(self._set.get, classes)), None)
        if envelope.sender:
            return found or self.usual
        if found is None:
            return self.bounces
        give_up = min(found.give_up, self.bounces.give_up)
        return replace(found, give_up=give_up, warn_after=self.bounces.warn_after)


def _classes_of(envelope: Remote) -> Iterator[str]:
    """Yield the classes that ``envelope`` may have; what counts first."""
    yield from (f"{TO}{pattern}" for pattern in patterns_of(envelope.domain)[:-1])
    yield from (f"{FROM}{pattern}" for pattern in sender_patterns_of(envelope.sender))
    yield f"{TO}{EVERYTHING}"


class Followed:
    """Keeps `Classes` fresh; use it as a context manager around the consumers."""

    def __init__(self, pool: Pool, classes: Classes) -> None:
        self.classes = classes
        self._pool = pool
        self._outage = Outage("timetables not read", "timetables read again")
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Classes:
        await self._read()
        await self._tasks.__aenter__()
        self._reader = self._tasks.create_task(self._follow(), name="timetables")
        return self.classes

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._reader.cancel()
        await self._tasks.__aexit__(kind, raised, traceback)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(FRESH.total_seconds())
            await self._read()

    async def _read(self) -> None:
        try:
            self.classes.learn(await timetables(self._pool))
        except Unavailable as trouble:  # what was known counts on; nothing is sent meanwhile anyway
            self._outage.away(str(trouble))
        else:
            self._outage.over()
