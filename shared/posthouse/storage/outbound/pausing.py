"""Accounts whose mail does not leave: alarms, pauses, and what is held for them.

    alarm ─▶ pause ─▶ what comes is held, what waits is held ─▶ resumed ─▶ let go, or discarded ─▶ gone

Each step is a transaction that locks the account's row, and finds by itself what is left to do: a
process that is killed leaves the rest to the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias
from uuid import UUID

from posthouse.mail.ids import day_of, new_id
from posthouse.storage import ledger
from posthouse.storage.ledger import Changed, Chosen
from posthouse.storage.outbound.terms import Kind
from posthouse.storage.pool import Pool, Queries, Row, Tx, transaction

Consequence: TypeAlias = Literal["alert", "hold", "pause"]
Ending: TypeAlias = Literal["release", "discard"]

HELD = "the account that sent it is paused"  # the reason, in the ledger
BATCH = 500  # recipients in one transaction
ROUTED_WITHIN = timedelta(hours=1)  # what was never tried by then waits, and is found there
GRACE = timedelta(minutes=1)  # whoever saw the account paused has held its mail by then

# The lock: two pods that see the same raise one alarm.
_LOCK_ALARMS = "select pg_advisory_xact_lock(hashtext('outbound alarms'), hashtext($1))"
_ALARM = """
    insert into outbound_alarms (account, rule, consequence, detail)
    select $1, $2, $3, $4
     where not exists (select from outbound_alarms where account = $1 and rule = $2
                          and cleared_at is null and at > now() - interval '24 hours')
 returning id
"""
# An alarm does not make a pause milder, or somebody else's.
_PAUSE = """
    insert into outbound_paused as p (account, kind, rule, detail, actor)
    values ($1, $2, $3, $4, $5)
        on conflict (account) do update
       set kind = excluded.kind, rule = excluded.rule, detail = excluded.detail,
           actor = excluded.actor, since = now(), is_gathered = false, ending = null, ended_at = null
     where p.ending is not null or (p.kind = 'hold' and excluded.kind = 'pause')
 returning account
"""
_RESUME = """
    update outbound_paused set ending = $2, ended_at = now() where account = $1 and ending is null
"""
# What made the alarm is no part of what is usual.
_FORGIVE = (
    "update outbound_alarms set cleared_at = now() where account = $1 and cleared_at is null",
    "delete from outbound_days where account = $1 and day = current_date",
    "delete from outbound_hours where account = $1",
    "delete from outbound_strangers where account = $1",
    "delete from outbound_networks where account = $1",
)
_LIST = """
    select p.account, p.kind, p.rule, p.detail, p.actor, p.since, coalesce(p.ending, '') as ending,
           (select count(*) from outbound_held h where h.account = p.account)::int as held
      from outbound_paused p
     where p.account > $1 and (p.ending is null or $3) order by p.account limit $2
"""
_COUNT = "select count(*) from outbound_paused where ending is null"
_ENTER_HELD = """
    insert into outbound_held (account, day, envelope)
    select k.account, k.day, k.envelope
      from unnest($1::text[], $2::date[], $3::uuid[]) as k (account, day, envelope)
      join outbound_paused p on p.account = k.account and p.ending is null
     order by k.account, k.envelope
        on conflict (account, envelope) do update set day = excluded.day
 returning envelope
"""
_TO_GATHER = """
    select account from outbound_paused where not is_gathered and ending is null
     order by since limit 100
"""
# The lock: one process at a time works on an account.
_LOCK_TO_GATHER = """
    select account from outbound_paused where account = $1 and not is_gathered and ending is null
       for update skip locked
"""
_GATHERED = "update outbound_paused set is_gathered = true where account = $1"
_ON_ITS_WAY = """
    select r.envelope as id, r.n, coalesce(r.domain, '') as domain,
           coalesce(r.sender, e.sender) as sender
      from envelopes e join recipients r on r.day = e.day and r.envelope = e.id
     where e.day >= $2 and e.id >= $3 and lower(e.auth) = $1
       and r.road = 'remote' and r.state = 'routed'
     union
    select w.envelope, w.n, w.domain, w.sender
      from waiting w join envelopes e on e.day = w.day and e.id = w.envelope
     where w.tenant = substring($1 from '@([^@]*)$') and not w.held and lower(e.auth) = $1
     limit $4
"""
_ENDING = "select account from outbound_paused where ending is not null order by ended_at limit 100"
_LOCK_ENDING = """
    select ending, ended_at < now() - $2::interval as is_over from outbound_paused
     where account = $1 and ending is not null for update skip locked
"""
_HELD_OF = """
    select r.envelope as id, r.n, coalesce(r.domain, '') as domain,
           coalesce(r.sender, e.sender) as sender
      from outbound_held h
      join envelopes e on e.day = h.day and e.id = h.envelope
      join recipients r on r.day = h.day and r.envelope = h.envelope
     where h.account = $1 and r.state = 'held'
     order by r.day, r.envelope, r.n limit $2
"""
_GONE = "delete from outbound_paused where account = $1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """What looks wrong about an account, and what is done about it."""

    account: str
    rule: str
    consequence: Consequence
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused:
    """An account whose mail does not leave.

    Attributes:
        account: Which.
        kind: ``pause``: nothing is taken of it; ``hold``: what is taken is held.
        rule: The alarm's, or ``operator``.
        detail: What was seen.
        actor: Who paused it; empty for nobody.
        since: When (UTC).
        ending: What becomes of what is held, once it is resumed; empty until then.
        held: Messages held for it.
    """

    account: str
    kind: str
    rule: str
    detail: str
    actor: str
    since: datetime
    ending: str
    held: int


async def alarm(tx: Tx, what: Alarm) -> bool:
    """Note ``what``, once in 24 hours; False if it is known. In one transaction with `pause`."""
    await tx.fetch(_LOCK_ALARMS, what.account)
    row = await tx.fetchrow(_ALARM, what.account, what.rule, what.consequence, what.detail)
    return row is not None


async def pause(
    queries: Queries, account: str, kind: Kind, rule: str, *, detail: str = "", actor: str = ""
) -> bool:
    """Let no mail of ``account`` leave; False if that is so already."""
    return await queries.fetchrow(_PAUSE, account, kind, rule, detail, actor) is not None


async def resume(queries: Queries, account: str, ending: Ending) -> bool:
    """Let ``account`` send again; what is held goes, or is discarded; False if it is not paused."""
    if not await queries.execute(_RESUME, account, ending):
        return False
    for each in _FORGIVE:
        await queries.execute(each, account)
    return True


async def paused(
    queries: Queries, after: str = "", limit: int = 100, *, ended: bool = False
) -> list[Paused]:
    """Return who is paused, behind ``after``, in order; with ``ended`` also whose mail is going."""
    rows = await queries.fetch(_LIST, after, limit, ended)
    return [Paused(**dict(row)) for row in rows]


async def count_paused(queries: Queries) -> int:
    """Return how many accounts are paused."""
    return int(str(await queries.fetchval(_COUNT)))


async def enter_held(queries: Queries, mails: Sequence[tuple[str, UUID]]) -> set[UUID]:
    """Note that these messages of these accounts will be held; return those whose account is paused.

    Call it before they are held: what is noted is let go once the account is resumed.
    """
    accounts, idents = [one for one, _ in mails], [ident for _, ident in mails]
    rows = await queries.fetch(_ENTER_HELD, accounts, [day_of(each) for each in idents], idents)
    return {row["envelope"] for row in rows}


async def accounts_to_gather(queries: Queries) -> list[str]:
    """Return paused accounts that may still have mail on its way."""
    return [row["account"] for row in await queries.fetch(_TO_GATHER)]


async def gather_some(pool: Pool, account: str) -> int:
    """Hold some of what a paused account has on its way; return how many.

    What is being delivered at this moment is looked at again by a later call.
    """
    async with transaction(pool) as tx:
        if await tx.fetchrow(_LOCK_TO_GATHER, account) is None:
            return 0
        since = _recently()
        rows = await tx.fetch(_ON_ITS_WAY, account, day_of(since), since, BATCH)
        if not rows:
            await tx.execute(_GATHERED, account)
            return 0
        free = await ledger.take(tx, _chosen(rows))
        await enter_held(tx, sorted({(account, each.id) for each in free}))
        changed = await ledger.hold(tx, [each.place for each in free])
        await ledger.note(tx, changed.places, "held", HELD)
        return len(changed.places)


async def ending_accounts(queries: Queries) -> list[str]:
    """Return accounts that were resumed and may still have mail that is held."""
    return [row["account"] for row in await queries.fetch(_ENDING)]


async def end_some(pool: Pool, account: str) -> Changed:
    """Let go, or discard, some of what is held of a resumed account; publish what is due then.

    Nothing was changed: nothing was left, and the account is forgotten once `GRACE` is over.
    """
    async with transaction(pool) as tx:
        row = await tx.fetchrow(_LOCK_ENDING, account, GRACE)
        if row is None:
            return Changed(())
        chosen = _chosen(await tx.fetch(_HELD_OF, account, BATCH))
        if not chosen:
            if row["is_over"]:
                await tx.execute(_GONE, account)
            return Changed(())
        places = [each.place for each in await ledger.take(tx, chosen)]
        return await _end(tx, places, row["ending"])


async def _end(tx: Tx, places: Sequence[ledger.Place], ending: str) -> Changed:
    if ending == "discard":
        changed = await ledger.delete(tx, places)
        await ledger.note(tx, changed.places, "deleted", HELD)
    else:
        changed = await ledger.let_go(tx, places)
        await ledger.note(tx, changed.places, "released", "the account was resumed")
    return changed


def _chosen(rows: Sequence[Row]) -> list[Chosen]:
    return [
        Chosen(id=row["id"], n=row["n"], domain=row["domain"], sender=row["sender"]) for row in rows
    ]


def _recently(now: datetime | None = None) -> UUID:
    """Return an id below those of messages accepted since `ROUTED_WITHIN`."""
    moment = (now or datetime.now(UTC)) - ROUTED_WITHIN
    return new_id(int(moment.timestamp() * 1000))
