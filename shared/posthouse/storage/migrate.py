"""The schema: numbered SQL files, applied once each, never changed afterwards.

One transaction per file; an advisory lock lets any number of pods start at once. A file whose
checksum differs from what was applied stops the start: somebody edited history.

Services of an older version go on while a newer one migrates only if its files leave what they use:
files expand first, and contract in a later release. That holds from the first release on; some of
before it remove at once what older services read: stop all services for such an upgrade.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import asyncpg

from posthouse.mail.errors import Unavailable
from posthouse.storage.partitions import ensure_partitions
from posthouse.storage.pool import Pool, Queries, Tx, open_pool, transaction

FIRST_DAYS = 2  # enough to begin with; the postmaster makes the partitions of the days after
_LOCK_KEY = 0x706F7374  # "post"
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0

_TAKE_LOCK = "select pg_advisory_xact_lock($1)"
_MAKE_TABLE = """
    create table if not exists schema_migrations (
        name text primary key, checksum text not null, applied_at timestamptz not null default now()
    )
"""
# Who changes a table waits for all who read it, and all who come later wait for him.
_WAIT_BRIEFLY = "set local lock_timeout = '3s'"
_APPLIED = "select name, checksum from schema_migrations"
_NOTE = "insert into schema_migrations (name, checksum) values ($1, $2)"


class SchemaConflict(Exception):
    """The database's schema was made from other files than ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One file of ``migrations/``.

    Attributes:
        name: The file's name; names sort in the order of application.
        sql: Its statements.
        checksum: SHA-256 of the statements, hexadecimal.
    """

    name: str
    sql: str
    checksum: str


def migrations() -> tuple[Migration, ...]:
    """Return the files that come with this version, in order."""
    folder = resources.files("posthouse.storage") / "migrations"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return tuple(_read(file.name, file.read_text("utf-8")) for file in files)


def _read(name: str, sql: str) -> Migration:
    return Migration(name=name, sql=sql, checksum=hashlib.sha256(sql.encode()).hexdigest())


def pending(ours: Sequence[Migration], applied: dict[str, str]) -> tuple[Migration, ...]:
    """Decide which of ``ours`` to apply; raise `SchemaConflict` if an applied one was changed.

    What the database has beyond ours belongs to a newer version; see above for whether we may go on.
    """
    for migration in ours:
        if applied.get(migration.name, migration.checksum) != migration.checksum:
            raise SchemaConflict(f"{migration.name} was changed after it had been applied")
    return tuple(m for m in ours if m.name not in applied)


async def migrate(target: Pool | str) -> tuple[str, ...]:
    """Bring the schema up to date and make the next days' partitions; return what was applied.

    Raises `Unavailable`, also where somebody uses a table for so long that mail would wait behind us:
    what was applied by then stays, and whoever tries again goes on there.
    """
    if isinstance(target, str):
        async with open_pool(target, connections=2) as pool:
            return await migrate(pool)
    async with transaction(target) as tx:
        await tx.execute(_TAKE_LOCK, _LOCK_KEY)
        await tx.execute(_MAKE_TABLE)
    applied = [migration.name for migration in migrations() if await _apply(target, migration)]
    await ensure_partitions(target, FIRST_DAYS)
    return tuple(applied)


async def _apply(pool: Pool, migration: Migration) -> bool:
    """Apply ``migration`` unless another pod has done so meanwhile."""
    async with transaction(pool) as tx:
        await tx.execute(_TAKE_LOCK, _LOCK_KEY)
        if not pending([migration], await _checksums(tx)):
            return False
        await tx.execute(_WAIT_BRIEFLY)
        await _run_file(tx, migration)
        return True


async def _run_file(tx: Tx, migration: Migration) -> None:
    # Without arguments asyncpg sends the whole file as one simple query: many statements at once.
    await tx.execute(migration.sql)
    await tx.execute(_NOTE, migration.name, migration.checksum)


async def _checksums(queries: Queries) -> dict[str, str]:
    return {row["name"]: row["checksum"] for row in await queries.fetch(_APPLIED)}


async def schema_is_current(pool: Pool) -> bool:
    """True if every migration of ours is applied; `SchemaConflict` if one was changed."""
    try:
        applied = await _checksums(pool)
    except asyncpg.UndefinedTableError:
        return False
    return not pending(migrations(), applied)


async def await_schema(pool: Pool) -> None:
    """Wait until PostgreSQL answers and somebody has migrated it; for the start of services."""
    pause = _FIRST_PAUSE_SECONDS
    while not await _schema_answers(pool):
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


async def _schema_answers(pool: Pool) -> bool:
    try:
        return await schema_is_current(pool)
    except Unavailable:
        return False
