"""Routing is decided once: the first decision that commits stands, redelivered ones read it.

Only recipients that were never routed, and that no operator holds, are changed. A redelivered
envelope, routed perhaps by a directory that has changed meanwhile, gets back how its recipients
stand, and so publishes the same envelopes again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias
from uuid import UUID

from posthouse.mail.handling import DEFAULT, Notify
from posthouse.mail.ids import day_of
from posthouse.storage.ledger.entries import NewMail, enter, storable
from posthouse.storage.ledger.standing import STANDING_COLUMNS, Road, Standing, standing_of
from posthouse.storage.pool import Pool, Queries, Tx, transaction

# Row locks in key order: two pods that route the same recipients wait, and never for each other.
_KEEP = f"""
    with asked as materialized (
        select * from unnest($1::date[], $2::uuid[], $3::int[], $4::text[], $5::text[],
                             $6::bigint[], $7::text[], $8::text[], $9::text[], $10::text[])
            as k (day, envelope, n, road, address, account_id, folder, domain, sender, via)
    ), held as materialized (
        select r.day, r.envelope, r.n
          from asked k join recipients r using (day, envelope, n)
         where r.settled_at is null and r.routed_at is null and r.state <> 'held'
         order by r.day, r.envelope, r.n
           for no key update of r
    )
    update recipients r
       set state = 'routed', routed_at = now(), road = k.road, address = k.address,
           account_id = k.account_id, folder = k.folder, domain = k.domain, sender = k.sender,
           via = k.via, attempts = 0, next_attempt_at = null, status = null, reply = null
      from held h join asked k using (day, envelope, n)
     where r.day = h.day and r.envelope = h.envelope and r.n = h.n
 returning r.envelope, {STANDING_COLUMNS}
"""  # noqa: S608 - columns are ours
# The message's row is the lock under which its new recipients get their numbers.
_LOCK_MESSAGES = """
    select id from envelopes where (day, id) in (select * from unnest($1::date[], $2::uuid[]))
     order by day, id for no key update
"""
_EXPAND = """
    with held as materialized (
        select r.day, r.envelope, r.n
          from unnest($1::date[], $2::uuid[], $3::int[]) as k (day, envelope, n)
          join recipients r using (day, envelope, n)
         where r.settled_at is null and r.routed_at is null and r.state <> 'held'
         order by r.day, r.envelope, r.n
           for no key update of r
    )
    update recipients r
       set state = 'expanded', routed_at = now(), settled_at = now()
      from held h where r.day = h.day and r.envelope = h.envelope and r.n = h.n
 returning r.envelope, r.n
"""
_TAKEN = """
    select r.envelope, r.n, lower(r.address) as address, r.state = 'expanded' as expanded
      from unnest($1::date[], $2::uuid[]) as k (day, envelope)
      join recipients r using (day, envelope)
"""
_ADD_CHILDREN = """
    insert into recipients (day, envelope, n, parent, state, routed_at, road, address,
                            account_id, folder, domain, sender, via, notify, orcpt, redistributed)
    select day, envelope, n, parent, 'routed', now(), road, address, account_id, folder, domain,
           sender, via, notify, orcpt, redistributed
      from unnest($1::date[], $2::uuid[], $3::int[], $4::text[], $5::text[], $6::bigint[],
                  $7::text[], $8::text[], $9::text[], $10::text[], $11::int[], $12::text[],
                  $13::text[], $14::bool[])
        as k (day, envelope, n, road, address, account_id, folder, domain, sender, via, parent,
              notify, orcpt, redistributed)
"""
_STANDINGS = f"""
    select r.envelope, {STANDING_COLUMNS}
      from unnest($1::date[], $2::uuid[], $3::int[]) as k (day, envelope, n)
      join recipients r on r.day = k.day and r.envelope = k.envelope
                       and (r.n = k.n or r.parent = k.n)
     where r.state = 'routed'
     order by r.envelope, r.n
"""  # noqa: S608 - columns are ours


_HOLD = """
    update recipients r set state = 'held', held_at = now(), reply = k.reason
      from unnest($1::date[], $2::uuid[], $3::int[], $4::text[]) as k (day, envelope, n, reason)
     where r.day = k.day and r.envelope = k.envelope and (r.n = k.n or r.parent = k.n)
       and r.state = 'routed' and (r.road = 'remote' or r.account_id is not null)
"""
NO_HOLDS: Mapping[UUID, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """Where one recipient goes.

    Attributes:
        road: ``local`` or ``remote``.
        address: The final address.
        account: On the road local: whose mailbox.
        folder: On the road local: the mailbox asked for by plus addressing.
        domain: On the road remote: the next hop domain.
        sender: A rewritten reverse path for this branch (forward, group owner); None keeps it.
        notify: What the sender wants to be told of it; counts where the recipient is new.
        redistributed: See `Standing`; likewise.
        via: On the road remote: the next hop that a map chose; empty for the ordinary way.
    """

    road: Road
    address: str
    account: int | None = None
    folder: str = ""
    domain: str | None = None
    sender: str | None = None
    notify: Notify = DEFAULT
    redistributed: bool = False
    via: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """Recipient ``n`` stays one recipient and goes this way."""

    n: int
    to: Branch


@dataclass(frozen=True, slots=True)
class Expanded:
    """Recipient ``n`` is replaced by others (alias, group, forward).

    A child whose address is among the message's recipients already is not added again.

    Attributes:
        n: The recipient's number.
        children: The others.
        receipt: A report of this, its octets stored, if the sender wants one. It enters the ledger
            if this decision is the one that stands; the sweeper publishes it.
    """

    n: int
    children: tuple[Branch, ...]
    receipt: NewMail | None = None


Decision: TypeAlias = Kept | Expanded
_Key: TypeAlias = tuple[UUID, int]


def branches_of(decision: Decision) -> tuple[Branch, ...]:
    """Return where a recipient goes."""
    return (decision.to,) if isinstance(decision, Kept) else decision.children


async def routed(
    queries: Pool | Tx,
    decisions: Sequence[tuple[UUID, Decision]],
    holds: Mapping[UUID, str] = NO_HOLDS,
) -> dict[UUID, tuple[Standing, ...]]:
    """Record the decisions for many messages; return how their recipients now stand.

    The answer holds those to be sent on, among the recipients named and those that replace them:
    neither settled nor deferred (their envelope waits) nor dead. A message of which nothing is to
    be sent on has no entry. Messages in ``holds`` are held in the same transaction, with the reason
    there, and none of them is sent on. Raises `Unavailable`.
    """
    kept = {(ident, d.n): d.to for ident, d in decisions if isinstance(d, Kept)}
    expanded = {(ident, d.n): d for ident, d in decisions if isinstance(d, Expanded)}
    if not decisions:
        return {}
    if not expanded and not holds:
        rows = await queries.fetch(_KEEP, *_columns(kept))
        if len(rows) == len(kept):  # the ordinary course: one statement, one commit
            return _by_message((row["envelope"], standing_of(row)) for row in rows)
        return await standings(queries, kept)
    async with transaction(queries) as tx:
        first = await _expand(tx, expanded) if expanded else []
        await _enter_receipts(tx, [expanded[key] for key in first])
        if kept:
            first += [(r["envelope"], r["n"]) for r in await tx.fetch(_KEEP, *_columns(kept))]
        if holds:
            await _hold(tx, first, holds)
        return await standings(tx, [*kept, *expanded])


async def standings(queries: Queries, keys: Iterable[_Key]) -> dict[UUID, tuple[Standing, ...]]:
    """Return how these recipients, or those that replace them, stand; only those to be sent on."""
    rows = await queries.fetch(_STANDINGS, *_key_columns(keys))
    return _by_message((row["envelope"], standing_of(row)) for row in rows)


async def _expand(tx: Tx, expanded: dict[_Key, Expanded]) -> list[_Key]:
    """Settle the parents and add their children, numbered on from the message's highest number.

    Returns the parents for which this was the first decision.
    """
    idents = sorted({ident for ident, _ in expanded})
    days = [day_of(ident) for ident in idents]
    await tx.fetch(_LOCK_MESSAGES, days, idents)
    changed = await tx.fetch(_EXPAND, *_key_columns(expanded))
    parents = sorted((row["envelope"], row["n"]) for row in changed)
    if not parents:
        return []
    highest: defaultdict[UUID, int] = defaultdict(lambda: -1)
    present: set[tuple[UUID, str]] = set()
    for row in await tx.fetch(_TAKEN, days, idents):
        highest[row["envelope"]] = max(highest[row["envelope"]], row["n"])
        if not row["expanded"]:
            present.add((row["envelope"], row["address"]))
    children: dict[_Key, Branch] = {}
    parent_of: list[int] = []
    for ident, n in parents:
        for branch in expanded[ident, n].children:
            address = (ident, storable(branch.address).lower())
            if address not in present:
                present.add(address)
                highest[ident] += 1
                children[ident, highest[ident]] = branch
                parent_of.append(n)
    if children:
        await tx.execute(_ADD_CHILDREN, *_columns(children), parent_of, *_wishes(children))
    return parents


async def _hold(tx: Tx, first: Sequence[_Key], holds: Mapping[UUID, str]) -> None:
    """Hold what was decided just now, and what replaces it; what was let go before stays so."""
    keys = [key for key in first if key[0] in holds]
    if keys:
        await tx.execute(_HOLD, *_key_columns(keys), [storable(holds[ident]) for ident, _ in keys])


async def _enter_receipts(tx: Tx, expanded: Iterable[Expanded]) -> None:
    receipts = [each.receipt for each in expanded if each.receipt is not None]
    if receipts:
        await enter(tx, receipts)


def _key_columns(keys: Iterable[_Key]) -> tuple[list[object], ...]:
    pairs = list(keys)
    return (
        [day_of(ident) for ident, _ in pairs],
        [ident for ident, _ in pairs],
        [n for _, n in pairs],
    )


def _columns(branches: dict[_Key, Branch]) -> tuple[list[object], ...]:
    ways = branches.values()
    return (
        *_key_columns(branches),
        [way.road for way in ways],
        [storable(way.address) for way in ways],
        [way.account for way in ways],
        [storable(way.folder) for way in ways],
        [way.domain and storable(way.domain) for way in ways],
        [way.sender if way.sender is None else storable(way.sender) for way in ways],
        [way.via or None for way in ways],
    )


def _wishes(branches: dict[_Key, Branch]) -> tuple[list[object], ...]:
    ways = branches.values()
    return (
        [way.notify.on or None for way in ways],
        [storable(way.notify.orcpt) or None for way in ways],
        [way.redistributed or None for way in ways],
    )


def _by_message(pairs: Iterable[tuple[UUID, Standing]]) -> dict[UUID, tuple[Standing, ...]]:
    found: defaultdict[UUID, list[Standing]] = defaultdict(list)
    for ident, standing in pairs:
        found[ident].append(standing)
    return {ident: tuple(sorted(group, key=lambda s: s.n)) for ident, group in found.items()}
