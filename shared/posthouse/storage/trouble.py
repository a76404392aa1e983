"""What goes wrong between us and PostgreSQL, by its name: `Unavailable`, or a bug that escapes as it is."""

from __future__ import annotations

from types import TracebackType

import asyncpg

from posthouse.mail.errors import AnswerLost, Unavailable

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


class NamedTrouble:
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
            if self._connection is not None and not is_gone(self._connection):
                return  # a bug of ours: a wrong argument, two queries at once
        elif not isinstance(trouble, _TROUBLE):
            return
        raise unavailable(trouble, self._connection) from trouble


def is_gone(connection: asyncpg.Connection) -> bool:
    """Say whether the connection is lost, or the pool has taken it back already."""
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:  # it broke, and the pool has taken it back already
        return True


def unavailable(
    trouble: BaseException, connection: asyncpg.Connection | None = None
) -> Unavailable:
    """Name it; who had a connection and heard nothing knows nothing of what it had asked for."""
    is_cut = connection is not None and (isinstance(trouble, TimeoutError) or is_gone(connection))
    return (AnswerLost if is_cut else Unavailable)(
        "storage is not available", detail=f"PostgreSQL: {type(trouble).__name__}: {trouble}"
    )
