"""What became of recipients: deferrals and the ends (promises 3 and 4).

A settled recipient never changes again. Rows are locked in key order, so that deliveries which
settle the same recipients at the same time wait for each other and one of them changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, assert_never
from uuid import UUID

from msgspec import structs

from posthouse.mail.ids import day_of
from posthouse.mail.outcome import Bounced, Deferred, Discarded, Outcome, Relayed
from posthouse.mail.status import OK
from posthouse.storage.ledger.entries import NewMail, enter, storable
from posthouse.storage.pool import Pool, Queries, Row, Tx, transaction

# A deferral that is older than the row (a doubled envelope) changes nothing; an equal one counts,
# because whoever repeats it after a crash must still put the envelope on the wait queue. What is
# held stays held: decisions do not meet deliveries, except where a claim was lost unheard.
_SETTLE = """
    with asked as materialized (
        select * from unnest($1::date[], $2::uuid[], $3::int[], $4::text[], $5::int[],
                             $6::timestamptz[], $7::text[], $8::text[], $9::text[], $10::bool[],
                             $11::bool[])
            as k (day, envelope, n, state, attempts, until, status, reply, host, ends, warned)
    ), held as materialized (
        select r.day, r.envelope, r.n, r.warned, r.state = 'held' as held
          from asked k join recipients r using (day, envelope, n)
         where r.settled_at is null and (k.ends or r.attempts <= k.attempts)
         order by r.day, r.envelope, r.n
           for no key update of r
    )
    update recipients r
       set state = case when h.held and not k.ends then 'held' else k.state end,
           attempts = greatest(r.attempts, k.attempts),
           next_attempt_at = case when not h.held then k.until end, status = k.status, reply = k.reply, host = k.host,
           warned = r.warned or k.warned, settled_at = case when k.ends then now() end
      from held h join asked k using (day, envelope, n)
     where r.day = h.day and r.envelope = h.envelope and r.n = h.n
 returning r.envelope, r.n, k.ends or (k.warned and not h.warned) as worth_telling
"""
_NOT_PUBLISHED = "delete from unpublished where id = $1"
_UNSETTLED = """
    select n from recipients
     where day = $1 and envelope = $2 and n = any($3::int[]) and settled_at is null
"""

_Row: TypeAlias = tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What one attempt at one message brought.

    Attributes:
        id: The message.
        outcomes: One per recipient that was tried.
        attempts: How often delivery was tried by now, this attempt included.
        warned: The sender is told of the delay now (by one of ``new``).
        new: Reports to enter in the same transaction.
    """

    id: UUID
    outcomes: tuple[Outcome, ...]
    attempts: int
    warned: bool = False
    new: tuple[NewMail, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What a `Settlement` has changed.

    Attributes:
        changed: The recipients that really changed.
        entered: The reports that entered the ledger: publish these.
    """

    changed: frozenset[int] = frozenset()
    entered: tuple[NewMail, ...] = ()


async def settle(
    queries: Pool | Tx,
    ident: UUID,
    outcomes: Sequence[Outcome],
    attempts: int,
    new: Sequence[NewMail] = (),
    *,
    warned: bool = False,
) -> set[int]:
    """Apply ``outcomes`` to the recipients of one message; return the numbers really changed.

    ``new`` enters the ledger with them if anything changed; with ``warned``, only if a recipient
    ended or its sender had not been warned before. Raises `Unavailable`.
    """
    settlement = Settlement(
        id=ident, outcomes=tuple(outcomes), attempts=attempts, warned=warned, new=tuple(new)
    )
    return set((await settle_all(queries, [settlement]))[0].changed)


async def settle_many(
    queries: Pool | Tx, settlements: Sequence[Settlement]
) -> dict[UUID, set[int]]:
    """Apply what many attempts brought, in one transaction; see `settle`."""
    changed: defaultdict[UUID, set[int]] = defaultdict(set)
    done = await settle_all(queries, settlements)
    for settlement, settled in zip(settlements, done, strict=True):
        changed[settlement.id] |= settled.changed
    return dict(changed)


async def settle_all(queries: Pool | Tx, settlements: Sequence[Settlement]) -> list[Settled]:
    """Apply what many attempts brought, in one transaction; return what each has changed.

    No recipient may be in two of them.
    """
    if not any(settlement.new for settlement in settlements):
        return _done(settlements, await _apply(queries, settlements))
    async with transaction(queries) as tx:
        done = _done(settlements, await _apply(tx, settlements))
        mails = [mail for settled in done for mail in settled.entered]
        if mails:
            await enter(tx, mails)
        return done


async def enter_discarded(queries: Pool | Tx, mail: NewMail, rule: str) -> None:
    """Enter ``mail``, which ends here by ``rule``; the same again changes nothing."""
    handling = structs.replace(mail.handling, hold="")
    outcomes = tuple(Discarded(n=to.n, rule=rule) for to in mail.recipients)
    async with transaction(queries) as tx:
        await enter(tx, [structs.replace(mail, handling=handling)])
        await settle_all(tx, [Settlement(id=mail.id, outcomes=outcomes, attempts=0)])
        await tx.execute(_NOT_PUBLISHED, mail.id)


async def _apply(queries: Queries, settlements: Sequence[Settlement]) -> list[Row]:
    rows = [_row(s, outcome) for s in settlements for outcome in s.outcomes]
    return await queries.fetch(_SETTLE, *zip(*rows, strict=True)) if rows else []


def _done(settlements: Sequence[Settlement], rows: Sequence[Row]) -> list[Settled]:
    telling = {(row["envelope"], row["n"]): bool(row["worth_telling"]) for row in rows}
    done: list[Settled] = []
    for one in settlements:
        changed = frozenset(each.n for each in one.outcomes if (one.id, each.n) in telling)
        is_told = any(telling[one.id, n] or not one.warned for n in changed)
        done.append(Settled(changed=changed, entered=one.new if is_told else ()))
    return done


def _row(settlement: Settlement, outcome: Outcome) -> _Row:
    """Return the columns of `_SETTLE` for one recipient."""
    key = (day_of(settlement.id), settlement.id, outcome.n)
    attempts, warned = settlement.attempts, settlement.warned
    match outcome:
        case Relayed(host=host, reply=reply):
            said = (str(OK), storable(reply), storable(host))
            return (*key, "relayed", attempts, None, *said, True, False)
        case Deferred(status=status, reply=reply, host=host, until=until):
            said = (str(status), storable(reply), storable(host))
            return (*key, "deferred", attempts, until, *said, False, warned)
        case Bounced(status=status, reply=reply, host=host):
            said = (str(status), storable(reply), storable(host))
            return (*key, "bounced", attempts, None, *said, True, False)
        case Discarded(rule=rule):
            return (*key, "discarded", attempts, None, None, storable(rule), None, True, False)
        case _:
            assert_never(outcome)


async def unsettled(queries: Queries, ident: UUID, ns: Sequence[int]) -> set[int]:
    """Return which of these recipients are still open: ask before sending (promise 3)."""
    rows = await queries.fetch(_UNSETTLED, day_of(ident), ident, list(ns))
    return {row["n"] for row in rows}
