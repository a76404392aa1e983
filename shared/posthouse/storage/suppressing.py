"""The suppression list: recipients that get nothing any more, because they refused or complained.

    hard bounce ─▶ hard_bounces ─▶ as many as the sender's domain allows ─▶ suppressions
    complaint ────────────────────────────────────────────────────────────▶    │
    operator  ────────────────────────────────────────────────────────────▶    │ until it ends

A row holds for the mail of one account, of one domain, or of everybody. A domain that allows no
number of bounces (`Sender.suppress_after` is 0) gets no row by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeAlias
from uuid import UUID

from posthouse.storage.directory.errors import NoSuchEntry
from posthouse.storage.directory.senders import resolve_senders
from posthouse.storage.ledger.entries import storable
from posthouse.storage.pool import Pool, Queries, Tx, transaction

Reason: TypeAlias = Literal["bounces", "complaint", "manual"]

EVERYBODY = "*"
BITE = 500  # rows per statement

# What was said of one message counts once, however often it is told.
_NOTE_BOUNCE = """
    insert into hard_bounces (whose, address, source, status) values ($1, $2, $3, $4)
        on conflict do nothing
"""
_COUNT = """
    select count(*) from hard_bounces where whose = $1 and address = $2 and at > now() - $3::interval
"""
# What an operator wrote stands, unless it is over.
_ADD = """
    insert into suppressions (address, whose, reason, note, source, expires_at)
    values ($1, $2, $3, $4, $5, now() + $6::interval)
        on conflict (address, whose) do update set
           reason = excluded.reason, note = excluded.note, source = excluded.source,
           since = now(), expires_at = excluded.expires_at
     where excluded.reason = 'manual' or suppressions.reason <> 'manual'
        or suppressions.expires_at <= now()
"""
_REMOVE = "delete from suppressions where address = $1 and whose = $2"
_FORGET_BOUNCES = """
    delete from hard_bounces where address = $1 and ($2 = '*' or whose = $2 or $2 like '%@' || whose)
"""
_LIST = """
    select address, whose, reason, note, source, since, expires_at from suppressions
     where (address, whose) > ($1, $2) and ($4::text is null or address = $4)
       and ($5::text is null or whose = $5) and (expires_at is null or expires_at > now())
     order by address, whose limit $3
"""
_HELD_BACK = """
    select distinct on (k.sender, k.address) k.sender, k.address, s.reason
      from unnest($1::text[], $2::text[], $3::text[]) as k (sender, domain, address)
      join suppressions s on s.address = k.address and s.whose in (k.sender, k.domain, '*')
     where s.expires_at is null or s.expires_at > now()
"""
_ANYBODY = "select exists (select from suppressions)"
_EXPIRE = """
    delete from suppressions where ctid = any (array(
        select ctid from suppressions where expires_at <= now() limit $1 for update skip locked))
"""
_AGE = """
    delete from hard_bounces where ctid = any (array(
        select ctid from hard_bounces where at <= now() - $2::interval
         limit $1 for update skip locked))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    """A recipient that gets nothing.

    Attributes:
        address: Who, in lower case.
        whose: Whose mail it does not get: a domain, an account's address, or `EVERYBODY`.
        reason: It refused (``bounces``), complained, or an operator says so.
        note: Why, in words.
        source: The message, or the report, that led to it.
        since: Since when.
        expires_at: Until when; None for ever.
    """

    address: str
    whose: str
    reason: Reason
    note: str
    source: UUID | None
    since: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Terms:
    """When the house suppresses by itself, where a sender does not say.

    Attributes:
        after: So many hard bounces; 0 for never. One complaint does where bounces do.
        lasts: For how long; older bounces do not count either.
    """

    after: int
    lasts: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Somebody who does not want mail, or does not exist.

    Attributes:
        sender: Whose mail it was.
        address: The recipient.
        source: The message.
        why: The status and what was said.
    """

    sender: str
    address: str
    source: UUID
    why: str


async def note_hard_bounce(queries: Pool | Tx, refusal: Refusal, terms: Terms) -> bool:
    """Count that a recipient refused for good; True if it is on the list now, by that.

    Nothing is counted for a sender that is not of this house, or that suppresses nobody.
    """
    after = await _allowed(queries, refusal.sender, terms)
    if not after:
        return False
    whose, address = _domain_of(refusal.sender), refusal.address.lower()
    async with transaction(queries) as tx:
        why = storable(refusal.why)
        if not await tx.execute(_NOTE_BOUNCE, whose, storable(address), refusal.source, why):
            return False
        count = await tx.fetchval(_COUNT, whose, storable(address), terms.lasts)
        if not isinstance(count, int) or count < after:
            return False
        await _add(tx, (address, whose), "bounces", why, refusal.source, terms.lasts)
    return True


async def note_complaint(queries: Queries, refusal: Refusal, terms: Terms) -> bool:
    """Put somebody who complained on the list; False where the sender suppresses nobody."""
    if not await _allowed(queries, refusal.sender, terms):
        return False
    key = (refusal.address, _domain_of(refusal.sender))
    await _add(queries, key, "complaint", refusal.why, refusal.source, terms.lasts)
    return True


async def suppress(
    queries: Queries, address: str, whose: str, note: str = "", lasts: timedelta | None = None
) -> None:
    """Put somebody on the list by hand, or change the row; without ``lasts`` for ever."""
    await _add(queries, (address, whose), "manual", note, None, lasts)


async def _add(
    queries: Queries,
    key: tuple[str, str],
    reason: Reason,
    note: str,
    source: UUID | None,
    lasts: timedelta | None,
) -> None:
    address, whose = (storable(each.lower()) for each in key)
    await queries.execute(_ADD, address, whose, reason, storable(note), source, lasts)


async def release(queries: Pool | Tx, address: str, whose: str = EVERYBODY) -> None:
    """Take somebody off the list, and forget the bounces that led there; raise `NoSuchEntry`."""
    async with transaction(queries) as tx:
        if not await tx.execute(_REMOVE, address.lower(), whose.lower()):
            raise NoSuchEntry(f"{address} is not suppressed for {whose}")
        await tx.execute(_FORGET_BOUNCES, address.lower(), whose.lower())


async def suppressions(
    queries: Queries,
    after: tuple[str, str] = ("", ""),
    limit: int = 1000,
    *,
    address: str | None = None,
    whose: str | None = None,
) -> tuple[Suppression, ...]:
    """Return up to ``limit`` of those that hold, behind the pair of address and whose ``after``."""
    only = [None if one is None else one.lower() for one in (address, whose)]
    rows = await queries.fetch(_LIST, *after, limit, *only)
    return tuple(Suppression(**dict(row)) for row in rows)


async def held_back(
    queries: Queries, pairs: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], Reason]:
    """Return which of these pairs of sender and recipient are not to be served, and why."""
    wanted = {(sender.lower(), address.lower()): (sender, address) for sender, address in pairs}
    rows = await queries.fetch(
        _HELD_BACK,
        [storable(sender) for sender, _ in wanted],
        [storable(_domain_of(sender)) for sender, _ in wanted],
        [storable(address) for _, address in wanted],
    )
    found = {(row["sender"], row["address"]): row["reason"] for row in rows}
    return {pair: found[key] for key, pair in wanted.items() if key in found}


async def is_anybody_suppressed(queries: Queries) -> bool:
    """True if there is anybody on the list, perhaps no more."""
    return bool(await queries.fetchval(_ANYBODY))


async def tidy_suppressions(pool: Pool, lasts: timedelta) -> int:
    """Remove what is over, and bounces too old to count; return how many rows went."""
    total = 0
    while gone := await pool.execute(_EXPIRE, BITE):
        total += gone
    while gone := await pool.execute(_AGE, BITE, lasts):
        total += gone
    return total


async def _allowed(queries: Queries, sender: str, terms: Terms) -> int:
    """Return how many hard bounces ``sender`` allows; 0 if it suppresses nobody."""
    said = (await resolve_senders(queries, [sender]))[sender]
    if said is None:
        return 0
    return terms.after if said.suppress_after is None else said.suppress_after


def _domain_of(sender: str) -> str:
    return sender.rpartition("@")[2].lower()
