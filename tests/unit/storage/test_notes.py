"""Notes at the end of a service: each once, also when PostgreSQL has one and has not said so."""

from __future__ import annotations

import asyncio
from typing import cast

from posthouse.mail.errors import Unavailable
from posthouse.mail.ids import new_id
from posthouse.storage.pool import Pool
from posthouse.storage.trace import Trace


class LateToSay:
    """A database that has committed long before it says so."""

    def __init__(self) -> None:
        self.committed: list[object] = []
        self.has_begun = asyncio.Event()
        self.may_say_so = asyncio.Event()

    async def execute(self, _: str, *columns: list[object]) -> None:
        self.committed += columns[4]
        self.has_begun.set()
        await self.may_say_so.wait()


class Away:
    """A database that is not there."""

    async def execute(self, *_: object) -> None:
        raise Unavailable("database is not available")


async def test_what_was_committed_and_not_heard_of_is_not_written_again() -> None:
    database = LateToSay()

    async with asyncio.timeout(5), Trace(cast(Pool, database), "imap-gateway") as trace:
        trace.note(new_id(), "read")
        await database.has_begun.wait()
        trace.note(new_id(), "expunged")
        asyncio.get_running_loop().call_later(0.01, database.may_say_so.set)

    assert database.committed == ["read", "expunged"]


async def test_a_database_that_is_away_holds_up_no_end() -> None:
    async with asyncio.timeout(1):
        async with Trace(cast(Pool, Away()), "imap-gateway") as trace:
            trace.note(new_id(), "read")
