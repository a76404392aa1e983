"""The connections of a pool: lent to one caller at a time, made when they are asked for.

    take ─▶ the one that was used last ─▶ else a new one ─▶ else wait for one that is given back
    give_back ─▶ the next who waits ─▶ else kept, for `IDLE` at most

Lending comes with every query, so a connection that is in order changes hands without a task or a
timer. One whose caller failed or was cancelled may still be at work: it is asked for a sign of
life first, beside the work, and ended if it gives none.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from time import monotonic

import asyncpg

ACQUIRE_SECONDS = 5.0  # how long a caller waits for a free connection
CONNECT_SECONDS = 5.0
COMMAND_SECONDS = 35.0  # we end a statement, when the server is not heard of any more
CLOSE_SECONDS = 5.0
IDLE = timedelta(minutes=5)
MAX_USES = 50_000  # what a session of the server has gathered goes with it
STATEMENTS_KEPT = 500  # prepared, by each connection


class Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg ships no types
    """One connection.

    Attributes:
        uses: How often it was lent.
        since: When it was given back, by the monotonic clock.
    """

    __slots__ = ("since", "uses")

    def get_reset_query(self) -> str:
        """Ask for a sign of life, and give back the locks that a caller did not live to know of.

        Nothing else is to be reset, for this room changes no settings.
        """
        return "select pg_advisory_unlock_all()"


class Connections:
    """Up to ``most`` connections to one database; closed at the end by `close`."""

    def __init__(self, url: str, most: int, settings: Mapping[str, str]) -> None:
        self._url = url
        self._settings = dict(settings)
        self._most = most
        self._room = most  # how many more may be made
        self._kept: list[Connection] = []  # the one that was used last at the end
        self._lent: set[Connection] = set()
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()  # None: make one
        self._settling: set[asyncio.Task[None]] = set()
        self._tidying: asyncio.TimerHandle | None = None

    async def take(self) -> Connection:
        """Return a connection for the caller alone; raise what asyncpg does, or `TimeoutError`."""
        connection = self.take_kept()
        if connection is None:
            async with asyncio.timeout(ACQUIRE_SECONDS):
                connection = await self._wait() or await self._connect()
            self._lend(connection)
        return connection

    def take_kept(self) -> Connection | None:
        """As `take`, but None where that would have to wait."""
        connection = self._pick()
        if connection is not None:
            self._lend(connection)
        return connection

    def _lend(self, connection: Connection) -> None:
        connection.uses += 1
        self._lent.add(connection)

    def give_back(self, connection: Connection, *, is_settled: bool) -> None:
        """Take a connection back; unless ``is_settled`` its last statement may be at work yet."""
        if connection.is_closed():
            self._lose(connection)
        elif is_settled and connection.uses < MAX_USES and not connection.is_in_transaction():
            self._pass_on(connection)
        else:
            task = asyncio.get_running_loop().create_task(self._settle(connection))
            self._settling.add(task)
            task.add_done_callback(self._settling.discard)

    async def close(self) -> None:
        """End all connections, each when it is given back; after `CLOSE_SECONDS` it is cut off."""
        if self._tidying is not None:
            self._tidying.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                for _ in range(self._most):
                    connection = self._pick() or await self._wait()
                    if connection is not None:
                        self._lent.add(connection)
                        await connection.close()
        for connection in (*self._kept, *self._lent):
            connection.terminate()
        await asyncio.gather(*self._settling)

    def _pick(self) -> Connection | None:
        """Return a connection that is kept, None if there is none."""
        while self._kept:
            connection = self._kept.pop()
            if not connection.is_closed():
                return connection
            self._room += 1
        return None

    async def _wait(self) -> Connection | None:
        """Return what is given back, or None when one may be made."""
        if self._room:
            self._room -= 1
            return None
        waiting: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        try:
            return await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled():  # it was ours already
                given = waiting.result()
                self._make_room() if given is None else self._pass_on(given)
            raise

    async def _connect(self) -> Connection:
        try:
            connection: Connection = await asyncpg.connect(
                self._url,
                timeout=CONNECT_SECONDS,
                command_timeout=COMMAND_SECONDS,
                statement_cache_size=STATEMENTS_KEPT,
                max_cached_statement_lifetime=0,
                server_settings=self._settings,
                connection_class=Connection,
            )
        except BaseException:
            self._make_room()
            raise
        connection.uses = 0
        return connection

    async def _settle(self, connection: Connection) -> None:
        """Take a connection back when it is in order, or end it."""
        try:
            if connection.uses >= MAX_USES:
                await connection.close(timeout=CLOSE_SECONDS)
            else:
                await connection.reset(timeout=CLOSE_SECONDS)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            connection.terminate()
        if connection.is_closed():
            self._lose(connection)
        else:
            self._pass_on(connection)

    def _pass_on(self, connection: Connection) -> None:
        self._lent.discard(connection)
        if self._hand_over(connection):
            return
        connection.since = monotonic()
        self._kept.append(connection)
        if self._tidying is None:
            self._tidy()

    def _lose(self, connection: Connection) -> None:
        self._lent.discard(connection)
        self._make_room()

    def _make_room(self) -> None:
        if not self._hand_over(None):
            self._room += 1

    def _hand_over(self, given: Connection | None) -> bool:
        """Give it to the next who waits; False if nobody does."""
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(given)
                return True
        return False

    def _tidy(self) -> None:
        """End what nobody has used for long; come again as long as something is kept."""
        until = monotonic() - IDLE.total_seconds()
        while self._kept and (self._kept[0].is_closed() or self._kept[0].since <= until):
            self._kept.pop(0).terminate()
            self._room += 1
        again = asyncio.get_running_loop().call_later
        self._tidying = again(IDLE.total_seconds(), self._tidy) if self._kept else None
