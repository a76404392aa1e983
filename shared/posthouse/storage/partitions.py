"""The ledger's partitions: one per UTC day, made ahead, dropped whole.

A row for a day without a partition falls into the default partition, so a late maintainer loses
no mail; when the day's partition is made afterwards, its rows move over.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from posthouse.storage.pool import Pool, Tx, transaction

DAYS_AHEAD = 7
_LOCK_KEY = 0x70617274  # "part"

# Rows of recipients are updated twice within seconds of their insertion (routed, settled), and grow.
# Whole pages of them are updated in one transaction: where a second version of each and a third fit
# beside each other, the updates stay heap-only and touch no index.
FILLFACTOR = {"envelopes": 100, "recipients": 30, "events": 100}

_TAKE_LOCK = "select pg_advisory_xact_lock($1)"
# Whoever waits for the default partition's lock makes everybody wait behind: rather try again later.
_WAIT_BRIEFLY = "set local lock_timeout = '2s'"
_EXISTING = """
    select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
     where i.inhparent = to_regclass($1)
"""
_STORED_DEFAULT = (
    "create table {table}_default partition of {table} default with (fillfactor = {fill})"
)
# Made alone and attached: this locks the parent less than CREATE TABLE ... PARTITION OF.
_MAKE = """
    create table {name} (like {table} including defaults including storage) with (fillfactor = {fill})
"""
_MOVE = """
    with moved as (delete from {table}_default where day = '{day}' returning *)
    insert into {name} select * from moved
"""
_ATTACH = """
    alter table {table} attach partition {name} for values from ('{day}') to ('{after}')
"""
_STRAYS = "select distinct day from {table}_default"
_OPEN_IN = "select exists (select from {name} where settled_at is null)"
_DROP = "drop table {name}"


async def ensure_partitions(pool: Pool, days_ahead: int = DAYS_AHEAD) -> tuple[str, ...]:
    """Make the partitions of yesterday to ``days_ahead``; return the names of the new ones.

    Days whose rows fell into the default partition, because nobody came by in time, get theirs too.
    """
    today = datetime.now(UTC).date()
    days = {today + timedelta(days=n) for n in range(-1, days_ahead + 1)}
    made: list[str] = []
    for table in FILLFACTOR:
        for day in sorted(days | await _strays(pool, table)):
            made += await _ensure(pool, table, day)
    return tuple(made)


async def _strays(pool: Pool, table: str) -> set[date]:
    if f"{table}_default" not in await _partitions(pool, table):
        return set()
    return {row["day"] for row in await pool.fetch(_STRAYS.format(table=table))}


async def _ensure(pool: Pool, table: str, day: date) -> list[str]:
    name = partition_name(table, day)
    if {name, f"{table}_default"} <= await _partitions(pool, table):
        return []
    made = []
    async with transaction(pool) as tx:
        await tx.execute(_TAKE_LOCK, _LOCK_KEY)
        await tx.execute(_WAIT_BRIEFLY)
        existing = await _partitions(tx, table)
        fill = FILLFACTOR[table]
        if f"{table}_default" not in existing:
            await tx.execute(_STORED_DEFAULT.format(table=table, fill=fill))
            made.append(f"{table}_default")
        if name not in existing:
            await _make(tx, table, day)
            made.append(name)
    return made


async def _make(tx: Tx, table: str, day: date) -> None:
    words = {
        "table": table,
        "name": partition_name(table, day),
        "fill": FILLFACTOR[table],
        "day": day.isoformat(),
        "after": (day + timedelta(days=1)).isoformat(),
    }
    await tx.execute(f"lock table {table}_default in access exclusive mode")
    for statement in (_MAKE, _MOVE, _ATTACH):
        await tx.execute(statement.format(**words))


async def drop_old(pool: Pool, keep_days: int) -> tuple[str, ...]:
    """Drop partitions older than ``keep_days``; a day with an unsettled recipient stays whole."""
    oldest = datetime.now(UTC).date() - timedelta(days=keep_days)
    dropped: list[str] = []
    for name in sorted(await _partitions(pool, "recipients")):
        day = day_of_partition("recipients", name)
        if day is not None and day < oldest:
            dropped += await _drop_day(pool, day)
    return tuple(dropped)


async def _drop_day(pool: Pool, day: date) -> list[str]:
    recipients = partition_name("recipients", day)
    # Looked through before the locks, which stop all deliveries: what is settled stays settled,
    # and new recipients come from open ones or have a new day.
    if await pool.fetchval(_OPEN_IN.format(name=recipients)):
        return []
    async with transaction(pool) as tx:
        await tx.execute(_TAKE_LOCK, _LOCK_KEY)
        await tx.execute(_WAIT_BRIEFLY)
        if recipients not in await _partitions(tx, "recipients"):
            return []  # another pod was faster
        names = [partition_name(table, day) for table in FILLFACTOR]
        present = [
            n for n, t in zip(names, FILLFACTOR, strict=True) if n in await _partitions(tx, t)
        ]
        for name in present:
            await tx.execute(_DROP.format(name=name))
        return present


def partition_name(table: str, day: date) -> str:
    """Return the name of ``table``'s partition of ``day``: ``recipients_20261122``."""
    return f"{table}_{day:%Y%m%d}"


def day_of_partition(table: str, name: str) -> date | None:
    """Return the day of a partition; None for the default partition."""
    digits = name.removeprefix(f"{table}_")
    return (
        datetime.strptime(digits, "%Y%m%d").replace(tzinfo=UTC).date() if digits.isdigit() else None
    )


async def _partitions(queries: Pool | Tx, table: str) -> set[str]:
    return {row["relname"] for row in await queries.fetch(_EXISTING, table)}
