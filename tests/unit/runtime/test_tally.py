"""What happens is counted until it is written, in bounds; an outage takes nothing that fits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from posthouse.mail.errors import Unavailable
from posthouse.runtime.tally import BATCH, Tally
from posthouse.telemetry.outages import Outage


@dataclass(frozen=True)
class Seen:
    """So many of one kind."""

    key: str
    count: int = 1
    last: str = ""

    def joined(self, earlier: Seen) -> Seen:
        return replace(self, count=self.count + earlier.count)


class Table:
    """Where it is written; away if it is told to be, and then perhaps silent."""

    def __init__(self) -> None:
        self.is_away = False
        self.is_silent = False
        self.rows: list[Seen] = []
        self.asked = asyncio.Event()

    async def write(self, rows: Sequence[Seen]) -> None:
        self.asked.set()
        if self.is_silent:
            await asyncio.Event().wait()
        if self.is_away:
            raise Unavailable("away")
        assert len(rows) <= BATCH
        self.rows += rows

    @property
    def total(self) -> int:
        return sum(each.count for each in self.rows)


class Office:
    """A tally, what it writes to, and what it dropped."""

    def __init__(self, max_kinds: int = 1000, every: float = 3600) -> None:
        self.table = Table()
        self.dropped = 0
        self.tally: Tally[Seen] = Tally(
            self.table.write,
            timedelta(seconds=every),
            outage=Outage("kept", "written again"),
            drop=self.drop,
            max_kinds=max_kinds,
        )

    def drop(self, count: int) -> None:
        self.dropped += count


@pytest.fixture
def office() -> Office:
    return Office()


async def test_what_is_alike_is_one_row_told_as_the_last(office: Office) -> None:
    office.tally.add(Seen("a"), Seen("b"), Seen("a", 2, "late"))
    await office.tally.flush()
    await office.tally.flush()

    assert office.table.rows == [Seen("a", 3, "late"), Seen("b")]


async def test_what_cannot_be_written_is_kept(office: Office) -> None:
    office.table.is_away = True
    for n in range(3):
        office.tally.add(Seen("a", last=str(n)))
        with pytest.raises(Unavailable):
            await office.tally.flush()
    office.table.is_away = False
    await office.tally.flush()

    assert office.table.rows == [Seen("a", 3, "2")]


async def test_what_happens_while_a_write_hangs_is_kept_with_it(office: Office) -> None:
    office.tally.add(Seen("a", 2, "old"))
    office.table.is_silent = True
    writing = asyncio.create_task(office.tally.flush())
    await office.table.asked.wait()
    office.tally.add(Seen("a", last="new"))
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    office.table.is_silent = False
    await office.tally.flush()

    assert office.table.rows == [Seen("a", 3, "new")]


async def test_it_is_written_by_itself_and_at_the_end() -> None:
    office = Office(every=0.001)
    async with office.tally:
        office.tally.add(Seen("a"))
        async with asyncio.timeout(30):
            await office.table.asked.wait()
        office.tally.add(Seen("b"))

    assert office.table.total == 2
    assert office.dropped == 0


async def test_what_is_lost_at_the_end_is_told(office: Office) -> None:
    office.table.is_away = True
    async with office.tally:
        office.tally.add(Seen("a", 3), Seen("b"))

    assert office.dropped == 4


async def test_what_waits_is_bounded_and_no_count_of_what_is_known_is_lost() -> None:
    office = Office(max_kinds=10)
    office.table.is_away = True
    for n in range(50):
        office.tally.add(Seen(str(n)))
    with pytest.raises(Unavailable):
        await office.tally.flush()
    office.tally.add(Seen("0"))
    office.table.is_away = False
    await office.tally.flush()

    assert len(office.table.rows) == 10
    assert Seen("0", 2) in office.table.rows
    assert office.dropped == 40


async def test_many_are_written_in_batches(office: Office) -> None:
    office = Office(max_kinds=10_000)
    office.tally.add(*(Seen(str(n)) for n in range(3 * BATCH + 1)))
    await office.tally.flush()

    assert office.table.total == 3 * BATCH + 1
