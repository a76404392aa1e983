"""What all pods know of the MTA-STS policies of others (RFC 8461 §3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from posthouse.storage.ledger.entries import storable
from posthouse.storage.pool import Queries, Row

_COLUMNS = "domain, id, mode, mx, max_age, fetched_at, tried_at, tried_id, fault"
_OF = f"select {_COLUMNS} from sts_policies where domain = $1"  # noqa: S608 - our own constant
# A pod that was slower does not bring an older policy back.
_FETCHED = """
    insert into sts_policies (domain, id, mode, mx, max_age, fetched_at, tried_at, tried_id, fault)
    values ($1, $2, $3, $4, $5, $6, $6, $2, '')
        on conflict (domain) do update
       set id = excluded.id, mode = excluded.mode, mx = excluded.mx, max_age = excluded.max_age,
           fetched_at = excluded.fetched_at, tried_at = excluded.tried_at,
           tried_id = excluded.tried_id, fault = ''
     where sts_policies.fetched_at is null or sts_policies.fetched_at <= excluded.fetched_at
"""
_FAILED = """
    insert into sts_policies (domain, tried_at, tried_id, fault) values ($1, $2, $3, $4)
        on conflict (domain) do update
       set tried_at = excluded.tried_at, tried_id = excluded.tried_id, fault = excluded.fault
"""
_LIST = f"""
    select {_COLUMNS} from sts_policies
     where domain > $1 and ($2::text is null or domain = $2) order by domain limit $3
"""  # noqa: S608 - our own constant
# What has run out and was not asked for in a month tells nobody anything.
_FORGET = """
    delete from sts_policies
     where tried_at < now() - interval '30 days'
       and (fetched_at is null or fetched_at + make_interval(secs => max_age) < now())
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StsRow:
    """What is known of a domain.

    Attributes:
        domain: Whose policy.
        id: The record under which it was fetched; empty if it never was.
        mode: ``enforce``, ``testing`` or ``none``; empty if it was never fetched.
        mx: Whom it lists.
        max_age: How long it is good for.
        fetched: When it was fetched; None: never.
        tried: When it was asked for last.
        tried_id: What the record said then.
        fault: Why that failed; empty if it did not.
    """

    domain: str
    id: str = ""
    mode: str = ""
    mx: tuple[str, ...] = ()
    max_age: timedelta = timedelta()
    fetched: datetime | None = None
    tried: datetime
    tried_id: str
    fault: str = ""


async def sts_row(queries: Queries, domain: str) -> StsRow | None:
    """Return what is known of ``domain``; None if nothing is."""
    row = await queries.fetchrow(_OF, domain)
    return None if row is None else _read(row)


async def keep_sts(queries: Queries, row: StsRow) -> None:
    """Keep a policy that was fetched just now, in place of what was known."""
    seconds = int(row.max_age.total_seconds())
    mx = list(row.mx)
    await queries.execute(_FETCHED, row.domain, row.id, row.mode, mx, seconds, row.fetched)


async def note_sts_failure(queries: Queries, row: StsRow) -> None:
    """Note that a policy could not be fetched; one that is known stays."""
    fault = storable(row.fault)
    await queries.execute(_FAILED, row.domain, row.tried, row.tried_id, fault)


async def sts_rows(
    queries: Queries, after: str, limit: int, *, domain: str | None = None
) -> Sequence[StsRow]:
    """Return what is known, by domain, behind ``after``; of all domains or one."""
    return tuple(map(_read, await queries.fetch(_LIST, after, domain, limit)))


async def forget_sts(queries: Queries) -> int:
    """Remove what has run out and nobody asks for; return how many."""
    return await queries.execute(_FORGET)


def _read(row: Row) -> StsRow:
    return StsRow(
        domain=row["domain"],
        id=row["id"],
        mode=row["mode"] or "",
        mx=tuple(row["mx"]),
        max_age=timedelta(seconds=row["max_age"]),
        fetched=row["fetched_at"],
        tried=row["tried_at"],
        tried_id=row["tried_id"],
        fault=row["fault"],
    )
