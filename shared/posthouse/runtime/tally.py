"""Counting for reports: in memory while mail goes on, added to PostgreSQL every now and then.

Counting never gets in the way of mail. While PostgreSQL is away it waits, in bounds: what is new
beyond them is not counted. Written once more is better than never, so what was under way when a
write broke off stays counted; a crash takes at most what was counted since the last write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from itertools import islice
from types import TracebackType
from typing import Generic, Protocol, Self, TypeAlias, TypeVar

from posthouse.mail.errors import Unavailable
from posthouse.runtime.duties import Duties
from posthouse.telemetry.outages import Outage

MAX_KINDS = 20_000  # that wait; more are not counted
BATCH = 500  # kinds in one write
FLUSH_AT_END = timedelta(seconds=5)


class Counted(Protocol):
    """What happened so often."""

    @property
    def key(self) -> Hashable:
        """What is counted together."""

    @property
    def count(self) -> int:
        """How often it happened."""

    def joined(self, earlier: Self) -> Self:
        """Return both as one, told as the later tells it."""


C = TypeVar("C", bound=Counted)
Write: TypeAlias = Callable[[Sequence[C]], Awaitable[None]]


class Tally(Generic[C]):
    """Counts until it is written; use it as a context manager."""

    def __init__(
        self,
        write: Write[C],
        every: timedelta,
        *,
        outage: Outage,
        drop: Callable[[int], None],
        max_kinds: int = MAX_KINDS,
    ) -> None:
        """Write by ``write`` (`Unavailable`: later) every so often.

        Args:
            write: Adds to what all pods have counted.
            every: How often.
            outage: Tells of outages.
            drop: Hears how much is not counted, where there are ``max_kinds`` already.
            max_kinds: How much is told apart until it is written.
        """
        self._write = write
        self._every = every.total_seconds()
        self._outage = outage
        self._drop = drop
        self._max_kinds = max_kinds
        self._counts: dict[Hashable, C] = {}
        self._duties = Duties()

    async def __aenter__(self) -> Self:
        await self._duties.begin(self._keep_writing())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self._duties.end(kind, raised, trace)
        finally:
            with suppress(Unavailable, TimeoutError):
                async with asyncio.timeout(FLUSH_AT_END.total_seconds()):
                    await self.flush()
            if self._counts:
                self._drop(sum(each.count for each in self._counts.values()))

    def add(self, *results: C) -> None:
        """Count ``results``."""
        for result in results:
            earlier = self._counts.get(result.key)
            if earlier is None and len(self._counts) >= self._max_kinds:
                self._drop(result.count)
            else:
                self._counts[result.key] = result if earlier is None else result.joined(earlier)

    async def flush(self) -> None:
        """Write what was counted; `Unavailable` if that is not possible now: it is kept."""
        while self._counts:
            taken = [self._counts.pop(key) for key in tuple(islice(self._counts, BATCH))]
            try:
                await self._write(taken)
            except BaseException:  # also when cancelled
                self._put_back(taken)
                raise

    def _put_back(self, taken: Iterable[C]) -> None:
        """Count ``taken`` again, as what came before that which was counted meanwhile."""
        for each in taken:
            meanwhile = self._counts.pop(each.key, None)
            self.add(each if meanwhile is None else meanwhile.joined(each))

    async def _keep_writing(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            try:
                await self.flush()
            except Unavailable as away:
                self._outage.away(str(away))
            else:
                self._outage.over()
