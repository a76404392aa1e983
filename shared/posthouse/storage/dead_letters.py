"""Dead letters: mail that waits for a human, filed so that it can be searched and outlives the broker.

A letter is filed from its queue, perhaps more than once, and ends by an operator: replayed or
rerouted (its recipients are on their road again), bounced, discarded, or outlived (its recipients
had ended or gone on without it). Ended letters stay, so that the trace of what was done stays too.

Numbers rise in the order of commit (`_LOCK`), so what is above the highest number of a moment was
filed after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias
from uuid import UUID

from posthouse.storage.ledger.entries import storable
from posthouse.storage.pool import Queries, Row, Tx

DeadState: TypeAlias = Literal[
    "waiting", "replayed", "rerouted", "bounced", "discarded", "outlived"
]

# The same death of the same envelope is one letter, however often its queue delivers it: the
# advisory lock lets two pods that hold the same letter file one after the other.
_LOCK = "select pg_advisory_xact_lock(hashtext('dead_letters'))"
_FILE = """
    insert into dead_letters (road, service, reason, exception, fingerprint, envelope, body,
                              attempts, first_failed, last_failed)
    select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10
     where not exists (select from dead_letters
                        where fingerprint = $5 and last_failed = $10 and road = $1 and body = $7)
 returning id
"""
_COLUMNS = """
    id, road, service, reason, exception, fingerprint, envelope, body, attempts, first_failed,
    last_failed, state, note, ended_at
"""
_CHOSEN = """
       and ($2::text is null or state = $2) and ($3::text is null or fingerprint = $3)
       and ($4::text is null or road = $4) and ($5::uuid is null or envelope = $5)
       and ($6::bigint[] is null or id = any($6))
       and ($7::text is null or position(lower($7) in lower(reason)) > 0)
"""
_LIST = f"select {_COLUMNS} from dead_letters where id > $1 {_CHOSEN} order by id limit $8"  # noqa: S608 - columns are ours
# Letters that another operation ends at this moment are passed over: they are that one's.
_TAKE = f"""
    select {_COLUMNS} from dead_letters where id > $1 {_CHOSEN} and id <= $8
     order by id limit $9 for no key update skip locked
"""  # noqa: S608 - columns are ours
_SURVEY = f"""
    select (select count(*) from dead_letters where id > $1 {_CHOSEN}) as found,
           (select coalesce(max(id), 0) from dead_letters) as newest
"""  # noqa: S608 - columns are ours
_RETURNED = """
    select fingerprint from dead_letters
     where state = 'waiting' and fingerprint = any($1) and id > $2 order by id limit 1
"""
# One storm is one line, however many letters it has left: those of one fingerprint have one reason.
_GROUPS = """
    select fingerprint, count(*) as count, min(id) as oldest, array_agg(distinct road) as roads,
           (array_agg(reason order by id desc))[1] as reason,
           min(first_failed) as first_failed, max(last_failed) as last_failed
      from dead_letters where state = 'waiting'
  group by fingerprint order by count(*) desc, fingerprint limit $1
"""
_END = """
    update dead_letters set state = $2, note = $3, ended_at = now()
     where id = any($1::bigint[]) and state = 'waiting'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDeadLetter:
    """A letter as it lay in its queue.

    Attributes:
        road: Where it died; where a replay puts it.
        service: Who gave up.
        reason: In words.
        exception: Class and innermost place; empty if a handler decided it.
        fingerprint: Equal for equal failures.
        envelope: The message; None if the envelope could not be read.
        body: The envelope as it travelled.
        attempts: How often handling it has failed.
        first_failed: When it failed first.
        last_failed: When it failed last.
    """

    road: str
    service: str
    reason: str
    exception: str
    fingerprint: str
    envelope: UUID | None
    body: bytes
    attempts: int
    first_failed: datetime
    last_failed: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter(NewDeadLetter):
    """A letter as it is filed.

    Attributes:
        id: Its number.
        state: ``waiting`` until somebody ends it.
        note: What was said at its end.
        ended_at: When that was.
    """

    id: int
    state: DeadState
    note: str
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which letters; every condition that is not None must hold.

    Attributes:
        reason: This text is in the reason, in whatever case.
    """

    state: DeadState | None = "waiting"
    fingerprint: str | None = None
    road: str | None = None
    envelope: UUID | None = None
    ids: tuple[int, ...] | None = None
    reason: str | None = None

    def values(self) -> tuple[object, ...]:
        """Return it as the parameters from ``$2`` on."""
        ids = None if self.ids is None else list(self.ids)
        reason = None if self.reason is None else storable(self.reason)
        return self.state, self.fingerprint, self.road, self.envelope, ids, reason


@dataclass(frozen=True, slots=True)
class Survey:
    """What a choice finds at one moment.

    Attributes:
        found: How many letters.
        newest: The highest number of all letters, chosen or not; later ones have higher ones.
    """

    found: int
    newest: int


async def file_dead(tx: Tx, letter: NewDeadLetter) -> int | None:
    """File a letter and return its number; None if it is filed already, waiting or ended.

    Belongs in the transaction that marks its recipients dead.
    """
    await tx.execute(_LOCK)
    found = await tx.fetchrow(_FILE, *_row(letter))
    return None if found is None else int(found["id"])


async def dead_letters(
    queries: Queries, choice: Choice, after: int = 0, limit: int = 1000
) -> tuple[DeadLetter, ...]:
    """Return up to ``limit`` letters of ``choice`` with numbers above ``after``, oldest first."""
    rows = await queries.fetch(_LIST, after, *choice.values(), limit)
    return tuple(map(_letter, rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Letters that wait and died of the same.

    Attributes:
        fingerprint: What they have in common.
        count: How many they are.
        oldest: The number of the first: a canary to replay alone.
        roads: Where they died.
        reason: Of the latest, in words.
        first_failed: When the first of them failed first.
        last_failed: When the last of them failed last.
    """

    fingerprint: str
    count: int
    oldest: int
    roads: list[str]
    reason: str
    first_failed: datetime
    last_failed: datetime


async def dead_groups(queries: Queries, limit: int = 100) -> tuple[Group, ...]:
    """Return what letters wait for, grouped by fingerprint; the largest group first."""
    rows = await queries.fetch(_GROUPS, limit)
    return tuple(Group(**dict(row)) for row in rows)


async def survey(queries: Queries, choice: Choice) -> Survey:
    """Return how many letters ``choice`` finds now."""
    row = await queries.fetchrow(_SURVEY, 0, *choice.values())
    return Survey(row["found"], row["newest"]) if row is not None else Survey(0, 0)


async def take_dead(
    tx: Tx, choice: Choice, after: int, through: int, limit: int
) -> tuple[DeadLetter, ...]:
    """Return up to ``limit`` letters above ``after`` and not above ``through``, oldest first.

    Nobody else ends them while ``tx`` lasts.
    """
    rows = await tx.fetch(_TAKE, after, *choice.values(), through, limit)
    return tuple(map(_letter, rows))


async def returned(queries: Queries, fingerprints: Iterable[str], newest: int) -> str | None:
    """Return the first of ``fingerprints`` that letters were filed of after ``newest``, or None."""
    row = await queries.fetchrow(_RETURNED, list(fingerprints), newest)
    return None if row is None else str(row["fingerprint"])


async def end_dead(
    queries: Queries, idents: Sequence[int], state: DeadState, note: str = ""
) -> int:
    """End letters that wait; count them: others have ended before."""
    return await queries.execute(_END, list(idents), state, storable(note)) if idents else 0


def _letter(row: Row) -> DeadLetter:
    return DeadLetter(**dict(row))


def _row(letter: NewDeadLetter) -> tuple[object, ...]:
    return (
        storable(letter.road),
        storable(letter.service),
        storable(letter.reason),
        storable(letter.exception),
        storable(letter.fingerprint),
        letter.envelope,
        letter.body,
        letter.attempts,
        letter.first_failed,
        letter.last_failed,
    )
