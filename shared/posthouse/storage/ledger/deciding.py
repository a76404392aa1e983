"""What is decided of mail that waits for the outside: by operators, by ETRN, by a site that is back.

The broker holds copies of envelopes that nobody can take out of its wait queues. So a decision
changes the ledger, and copies learn of it when they come up (`delivery_remote.copies`): what is
held, settled or goes another way is not theirs. Where something is to be done now, a fresh copy is
published, and the mark that says so (``republish``) is written with the decision:

    take ─▶ change the rows, mark ─▶ commit ─▶ publish ─▶ delete the marks
                                         └ died here: the sweeper publishes what is marked

A decision never meets a conversation: like the delivery itself it takes the claims of what it
changes, for its transaction. What is being delivered right now is left alone and counted as busy.
Whatever is repeated finds the rows changed already and changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from posthouse.mail.ids import day_of
from posthouse.mail.outcome import Discarded, Outcome
from posthouse.storage.ledger.choosing import Chosen, Place
from posthouse.storage.ledger.claiming import lock_key
from posthouse.storage.ledger.entries import storable
from posthouse.storage.ledger.settling import Settlement, settle_many
from posthouse.storage.pool import Row, Tx

OPERATOR = "operator"  # the rule's name in the ledger (promise 4)

# Given back by the commit. The rows are read by a later statement, which sees what others have
# committed before they gave their claims back.
_CLAIM = "select key from unnest($1::bigint[]) as k (key) where pg_try_advisory_xact_lock(key)"
# Row locks in key order, as everywhere in the ledger.
_FREE = """
    with free as materialized (
        select r.day, r.envelope, r.n
          from unnest($1::date[], $2::uuid[], $3::int[]) as k (day, envelope, n)
          join recipients r using (day, envelope, n)
         where r.settled_at is null and {condition}
         order by r.day, r.envelope, r.n
           for no key update of r
    )
    update recipients r set {change}
      from free f where r.day = f.day and r.envelope = f.envelope and r.n = f.n
 returning r.envelope, r.n, r.state
"""
_HOLD = _FREE.format(
    condition="r.state in ('routed', 'deferred')",
    change="state = 'held', held_at = now(), next_attempt_at = null",
)
_RELEASE = _FREE.format(
    condition="r.state = 'held'",
    change="""state = 'deferred', next_attempt_at = now(), held_at = null,
              paused = coalesce(r.paused, '0') + (now() - r.held_at)""",
)
# Also what has been due for a while: who made it due may have died before publishing it (`hasten`).
_RETRY = _FREE.format(
    condition="""r.state = 'deferred' and (r.next_attempt_at > now()
                 or r.next_attempt_at < now() - interval '1 minute')""",
    change="next_attempt_at = now()",
)
_REROUTE = _FREE.format(
    condition="""r.road = 'remote' and r.state in ('routed', 'deferred', 'held')
                 and coalesce(r.via, '') <> $4""",
    change="""via = nullif($4, ''),
              next_attempt_at = case when r.state = 'held' then null else now() end""",
)
_BOUNCE = _FREE.format(
    condition="""r.road = 'remote' and r.state in ('routed', 'deferred', 'held')
                 and r.verdict is distinct from $4""",
    change="verdict = $4, state = 'deferred', next_attempt_at = now(), held_at = null",
)
_MARK = "insert into republish (id) select * from unnest($1::uuid[]) returning seq"
_NOTE = """
    insert into events (day, envelope, at, recipient, service, what, detail)
    select day, envelope, now(), n, 'postmaster', $4, $5
      from unnest($1::date[], $2::uuid[], $3::int[]) as k (day, envelope, n)
"""


@dataclass(frozen=True, slots=True)
class Changed:
    """What a decision has changed.

    Attributes:
        places: The recipients.
        due: Those of them that are due now: publish their envelopes.
        marks: Take these off with `republishing.unmark` once the broker has confirmed them.
    """

    places: tuple[Place, ...]
    due: tuple[Place, ...] = ()
    marks: tuple[int, ...] = ()


async def take(tx: Tx, chosen: Sequence[Chosen]) -> list[Chosen]:
    """Claim the envelopes of ``chosen`` until ``tx`` ends; return those that nobody delivers now."""
    keys = {each.place: lock_key(each.id, each.domain, each.sender) for each in chosen}
    rows = await tx.fetch(_CLAIM, sorted(set(keys.values())))
    free = {row["key"] for row in rows}
    return [each for each in chosen if keys[each.place] in free]


async def hold(tx: Tx, places: Sequence[Place]) -> Changed:
    """Hold what was not: no copy of it is worked on any more."""
    return Changed(_places(await tx.fetch(_HOLD, *columns(places))))


async def let_go(tx: Tx, places: Sequence[Place]) -> Changed:
    """Let go what is held; the time it was held does not count as its age."""
    return await mark_due(tx, _places(await tx.fetch(_RELEASE, *columns(places))))


async def retry(tx: Tx, places: Sequence[Place]) -> Changed:
    """Make due what waits for its next attempt."""
    return await mark_due(tx, (await hasten(tx, places)).due)


async def hasten(tx: Tx, places: Sequence[Place]) -> Changed:
    """Do as `retry`, without a mark: if nobody publishes it, its old copy goes at its time."""
    made_due = _places(await tx.fetch(_RETRY, *columns(places)))
    return Changed(made_due, made_due)


async def reroute(tx: Tx, places: Sequence[Place], via: str) -> Changed:
    """Send them by the next hop ``via`` (host:port) from now on; by the ordinary way if empty.

    What is held stays held; what goes to a mailbox here has no next hop and is left alone.
    """
    rows = await tx.fetch(_REROUTE, *columns(places), via)
    due = await mark_due(tx, tuple((r["envelope"], r["n"]) for r in rows if r["state"] != "held"))
    return Changed(_places(rows), due.due, due.marks)


async def bounce(tx: Tx, places: Sequence[Place], text: str) -> Changed:
    """Have delivery-remote return them now, held or not, with ``text`` as the reason.

    What is held on its way to a mailbox here is left alone: it can be let go or deleted.
    """
    return await mark_due(tx, _places(await tx.fetch(_BOUNCE, *columns(places), storable(text))))


async def delete(tx: Tx, places: Sequence[Place]) -> Changed:
    """End them without delivery; nobody is told. They are discarded by the rule `OPERATOR`."""
    by_message: defaultdict[UUID, list[Outcome]] = defaultdict(list)
    for ident, n in places:
        by_message[ident].append(Discarded(n=n, rule=OPERATOR))
    changed = await settle_many(
        tx,
        [Settlement(id=i, outcomes=tuple(each), attempts=0) for i, each in by_message.items()],
    )
    return Changed(tuple(sorted((ident, n) for ident, ns in changed.items() for n in ns)))


async def note(tx: Tx, places: Sequence[Place], what: str, detail: str) -> None:
    """Write into the trace that ``what`` was decided of ``places``."""
    await tx.execute(_NOTE, *columns(places), what, storable(detail))


async def mark_due(tx: Tx, places: tuple[Place, ...]) -> Changed:
    """Mark these recipients, which are due now, for publishing."""
    if not places:
        return Changed(())
    rows = await tx.fetch(_MARK, sorted({ident for ident, _ in places}))
    return Changed(places, places, tuple(row["seq"] for row in rows))


def _places(rows: Sequence[Row]) -> tuple[Place, ...]:
    return tuple(sorted((row["envelope"], row["n"]) for row in rows))


def columns(places: Sequence[Place]) -> tuple[list[date], list[UUID], list[int]]:
    """Return these recipients as parameters: days, messages, numbers."""
    idents = [ident for ident, _ in places]
    return [day_of(ident) for ident in idents], idents, [n for _, n in places]
