"""Connections to PostgreSQL, and the one place where trouble with them gets its name.

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

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Protocol, TypeAlias

import asyncpg

from posthouse.mail.errors import AnswerLost, Unavailable
from posthouse.storage.connections import Connection, Connections

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

# Conditions of the server, not of the statement. 08 and 57P0x: gone or going; 53: out of disk,
# memory, connections; 58: I/O errors; 40: deadlock and serialization; 25006: a standby answers;
# 57014: statement_timeout; 55P03: lock_timeout; 25P03: idle in transaction; 28: our login is
# refused; 3D000: our database is missing (both are said when a connection is made).
_TROUBLE = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,
    asyncpg.TransactionRollbackError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)


class _NamedTrouble:
    """Raises `Unavailable` for what concerns the server or the way to it."""

    __slots__ = ("_connection",)

    def __init__(self, connection: asyncpg.Connection | None = None) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: object, trouble: BaseException | None, trace: TracebackType | None
    ) -> None:
        if trouble is None:
            return
        if isinstance(trouble, asyncpg.InterfaceError) and not isinstance(trouble, _TROUBLE):
            if self._connection is not None and not _is_gone(self._connection):
                return  # a bug of ours: a wrong argument, two queries at once
        elif not isinstance(trouble, _TROUBLE):
            return
        raise _unavailable(trouble, self._connection) from trouble


def _is_gone(connection: asyncpg.Connection) -> bool:
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:  # it broke, and the pool has taken it back already
        return True


def _unavailable(
    trouble: BaseException, connection: asyncpg.Connection | None = None
) -> Unavailable:
    """Name it; who had a connection and heard nothing knows nothing of what it had asked for."""
    is_cut = connection is not None and (isinstance(trouble, TimeoutError) or _is_gone(connection))
    return (AnswerLost if is_cut else Unavailable)(
        "storage is not available", detail=f"PostgreSQL: {type(trouble).__name__}: {trouble}"
    )


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
        with _NamedTrouble(self.connection):
            return list(await self.connection.fetch(sql, *arguments))

    async def fetchrow(self, sql: str, *arguments: object) -> Row | None:
        """Return the first row, or None."""
        with _NamedTrouble(self.connection):
            return await self.connection.fetchrow(sql, *arguments)

    async def fetchval(self, sql: str, *arguments: object) -> object:
        """Return the first column of the first row, or None."""
        with _NamedTrouble(self.connection):
            return await self.connection.fetchval(sql, *arguments)

    async def execute(self, sql: str, *arguments: object) -> int:
        """Run the statement; return how many rows it touched."""
        with _NamedTrouble(self.connection):
            return _touched(await self.connection.execute(sql, *arguments))

    async def executemany(self, sql: str, arguments: Iterable[Sequence[object]]) -> None:
        """Run the statement once per row of arguments."""
        with _NamedTrouble(self.connection):
            await self.connection.executemany(sql, arguments)


class _Session:
    """The time for which a connection is lent; a class, for it comes with every query."""

    __slots__ = ("_connection", "_connections")

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def __aenter__(self) -> Tx:
        with _NamedTrouble():
            try:
                self._connection = await self._connections.take()
            except asyncpg.PostgresError as refusal:  # no statement ran: it is about the server
                raise _unavailable(refusal) from refusal
        return Tx(self._connection)

    async def __aexit__(
        self, kind: object, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connections.give_back(self._connection, is_settled=raised is None)


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
        async with self.session() as session:
            return await session.fetch(sql, *arguments)

    async def fetchrow(self, sql: str, *arguments: object) -> Row | None:
        """Return the first row, or None."""
        async with self.session() as session:
            return await session.fetchrow(sql, *arguments)

    async def fetchval(self, sql: str, *arguments: object) -> object:
        """Return the first column of the first row, or None."""
        async with self.session() as session:
            return await session.fetchval(sql, *arguments)

    async def execute(self, sql: str, *arguments: object) -> int:
        """Run the statement; return how many rows it touched."""
        async with self.session() as session:
            return await session.execute(sql, *arguments)

    async def executemany(self, sql: str, arguments: Iterable[Sequence[object]]) -> None:
        """Run the statement once per row of arguments, all in one transaction."""
        async with self.session() as session:
            await session.executemany(sql, arguments)


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
    with _NamedTrouble(session.connection):
        await frame.start()
    try:
        yield
    except BaseException:
        if not _is_gone(session.connection):
            with _NamedTrouble(session.connection):
                await frame.rollback()
        raise
    with _NamedTrouble(session.connection):
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
            if held and not _is_gone(session.connection):
                await _unlock(session, duty)


async def _unlock(session: Tx, duty: str) -> None:
    """Give the lock back, or with it the connection: in the pool it would be held for ever."""
    try:
        await session.execute("select pg_advisory_unlock(hashtext($1))", duty)
    except BaseException:
        if not _is_gone(session.connection):  # it may have broken just now
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
