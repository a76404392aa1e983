"""Connections to PostgreSQL; trouble with them gets its name here (`posthouse.storage.trouble`).

`Pool` and `Tx` have the same few methods (`Queries`), so a function of this room says by its
parameter whether it decides about the transaction itself or belongs in the caller's. Whatever
means "the server does not answer now" (gone, restarting, full, out of connections, read-only
after a failover, a deadlock, a deadline) leaves here as `Unavailable`; everything else is a bug
and escapes as it is. A commit that was cut off (`AnswerLost`) may have happened: whoever repeats,
repeats idempotently.

After a restart of the server the pool recovers by itself: broken connections are thrown away
when they are given back, and new ones are made when they are asked for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Protocol, TypeAlias, TypeVar

import asyncpg

from posthouse.storage.connections import Connection, Connections
from posthouse.storage.trouble import NamedTrouble, is_gone, unavailable

STATEMENT_SECONDS = 30.0  # the server ends a statement
IDLE_IN_TRANSACTION_SECONDS = 60.0

_MILLISECONDS = 1000

_SESSION = {
    "application_name": "posthouse",
    "timezone": "UTC",
    "statement_timeout": str(int(STATEMENT_SECONDS * _MILLISECONDS)),
    "idle_in_transaction_session_timeout": str(int(IDLE_IN_TRANSACTION_SECONDS * _MILLISECONDS)),
    # Every query of this house goes by an index, and its plan does not depend on the values. Made
    # once and kept, a plan over 40 partitions costs nothing; made anew for each call, 7 ms.
    "plan_cache_mode": "force_generic_plan",
    # A plan made while a table was still empty would scan it, and would be kept.
    "enable_seqscan": "off",
    "jit": "off",  # the penalty above looks like a huge query to the planner
}

Row: TypeAlias = asyncpg.Record

T = TypeVar("T")


class Queries(Protocol):
    """What `Pool` and `Tx` have in common; on the pool each call is its own transaction."""

    async def fetch(self, sql: str, *arguments: object) -> list[Row]:
        """Return all rows."""
        ...

    async def fetchrow(self, sql: str, *arguments: object) -> Row | None:
        """Return the first row, or None."""
        ...

    async def fetchval(self, sql: str, *arguments: object) -> object:
        """Return the first column of the first row, or None."""
        ...

    async def execute(self, sql: str, *arguments: object) -> int:
        """Run the statement; return how many rows it touched."""
        ...

    async def executemany(self, sql: str, arguments: Iterable[Sequence[object]]) -> None:
        """Run the statement once per row of arguments, all in one transaction."""
        ...


class Tx:
    """One open transaction; made by `transaction`, never used after it."""

    __slots__ = ("connection",)

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def fetch(self, sql: str, *arguments: object) -> list[Row]:
        """Return all rows."""
        with NamedTrouble(self.connection):
            return list(await self.connection.fetch(sql, *arguments))

    async def fetchrow(self, sql: str, *arguments: object) -> Row | None:
        """Return the first row, or None."""
        with NamedTrouble(self.connection):
            return await self.connection.fetchrow(sql, *arguments)

    async def fetchval(self, sql: str, *arguments: object) -> object:
        """Return the first column of the first row, or None."""
        with NamedTrouble(self.connection):
            return await self.connection.fetchval(sql, *arguments)

    async def execute(self, sql: str, *arguments: object) -> int:
        """Run the statement; return how many rows it touched."""
        with NamedTrouble(self.connection):
            return _touched(await self.connection.execute(sql, *arguments))

    async def executemany(self, sql: str, arguments: Iterable[Sequence[object]]) -> None:
        """Run the statement once per row of arguments."""
        with NamedTrouble(self.connection):
            await self.connection.executemany(sql, arguments)


class _Session:
    """The time for which a connection is lent; a class, for it comes with every query."""

    __slots__ = ("_connection", "_connections")

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def __aenter__(self) -> Tx:
        self._connection = self._connections.take_kept() or await _taken(self._connections)
        return Tx(self._connection)

    async def __aexit__(
        self, kind: object, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connections.give_back(self._connection, is_settled=raised is None)


async def _taken(connections: Connections) -> Connection:
    with NamedTrouble():
        try:
            return await connections.take()
        except asyncpg.PostgresError as refusal:  # no statement ran: it is about the server
            raise unavailable(refusal) from refusal


class Pool:
    """Connections to one database; see `Queries` for its methods."""

    __slots__ = ("_connections",)

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def session(self) -> AbstractAsyncContextManager[Tx]:
        """Lend one connection outside of a transaction: each statement commits by itself."""
        return _Session(self._connections)

    async def fetch(self, sql: str, *arguments: object) -> list[Row]:
        """Return all rows."""
        rows: list[Row] = await self._ask(Connection.fetch, sql, arguments)
        return rows

    async def fetchrow(self, sql: str, *arguments: object) -> Row | None:
        """Return the first row, or None."""
        row: Row | None = await self._ask(Connection.fetchrow, sql, arguments)
        return row

    async def fetchval(self, sql: str, *arguments: object) -> object:
        """Return the first column of the first row, or None."""
        return await self._ask(Connection.fetchval, sql, arguments)

    async def execute(self, sql: str, *arguments: object) -> int:
        """Run the statement; return how many rows it touched."""
        return _touched(await self._ask(Connection.execute, sql, arguments))

    async def executemany(self, sql: str, arguments: Iterable[Sequence[object]]) -> None:
        """Run the statement once per row of arguments, all in one transaction."""
        async with self.session() as session:
            await session.executemany(sql, arguments)

    async def _ask(
        self, how: Callable[..., Awaitable[T]], sql: str, arguments: Sequence[object]
    ) -> T:
        """Ask within a `session`, without its objects: this comes with every query."""
        connections, is_settled = self._connections, False
        connection = connections.take_kept() or await _taken(connections)
        try:
            with NamedTrouble(connection):
                answer = await how(connection, sql, *arguments)
            is_settled = True
        finally:
            connections.give_back(connection, is_settled=is_settled)
        return answer


@asynccontextmanager
async def transaction(queries: Pool | Tx) -> AsyncIterator[Tx]:
    """Commit what the block does, all or nothing.

    Within a `Tx` it is a savepoint. Raises `Unavailable` if the commit was not confirmed, in
    which case it may or may not have happened.
    """
    if isinstance(queries, Tx):
        async with _transaction(queries):
            yield queries
        return
    async with queries.session() as session, _transaction(session):
        yield session


@asynccontextmanager
async def _transaction(session: Tx) -> AsyncIterator[None]:
    """Begin, then commit or roll back; what the block itself raises stays as it is."""
    frame = session.connection.transaction()
    with NamedTrouble(session.connection):
        await frame.start()
    try:
        yield
    except BaseException:
        if not is_gone(session.connection):
            with NamedTrouble(session.connection):
                await frame.rollback()
        raise
    with NamedTrouble(session.connection):
        await frame.commit()


@asynccontextmanager
async def duty_lock(pool: Pool, duty: str) -> AsyncIterator[bool]:
    """Hold the advisory lock called ``duty`` while the block runs; False if another holds it.

    The lock belongs to the connection: if that breaks, PostgreSQL gives the lock to another, so
    a duty must be harmless when two do it for a moment.
    """
    async with pool.session() as session:
        held = await session.fetchval("select pg_try_advisory_lock(hashtext($1))", duty)
        try:
            yield bool(held)
        finally:
            if held and not is_gone(session.connection):
                await _unlock(session, duty)


async def _unlock(session: Tx, duty: str) -> None:
    """Give the lock back, or with it the connection: in the pool it would be held for ever."""
    try:
        await session.execute("select pg_advisory_unlock(hashtext($1))", duty)
    except BaseException:
        if not is_gone(session.connection):  # it may have broken just now
            session.connection.terminate()
        raise


@asynccontextmanager
async def open_pool(url: str, *, connections: int = 8) -> AsyncIterator[Pool]:
    """Open up to ``connections`` connections, as they are needed; the server may be down now."""
    kept = Connections(url, connections, _SESSION)
    try:
        yield Pool(kept)
    finally:
        await kept.close()


def _touched(tag: str) -> int:
    """Read the number off a command tag: ``UPDATE 3``, ``INSERT 0 3``."""
    last = tag.rpartition(" ")[2]
    return int(last) if last.isdigit() else 0
