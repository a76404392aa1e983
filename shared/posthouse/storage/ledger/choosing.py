"""Mail that waits for the outside, as operators choose it: by what is known of it, all of it holding.

``waiting`` has one narrow row for each recipient that is held, or is deferred on its way out or
before it is routed, kept by a trigger; so a million of them are counted and filtered within a
second, and mail that does not wait costs nothing. Mail that is on its way but was not tried yet has
none. It is found by id, or if it is asked for (``untried``): then the ledger's own rows are looked
at, all of them if it must be.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeAlias
from uuid import UUID

from posthouse.mail.ids import day_of
from posthouse.mail.patterns import NULL_SENDER
from posthouse.storage.ledger.entries import storable
from posthouse.storage.pool import Queries

Waiting: TypeAlias = Literal["deferred", "held", "untried"]
Place: TypeAlias = tuple[UUID, int]  # a recipient: its message and its number

BEFORE_ALL: Place = (UUID(int=0), -1)
CLOCKS_DIFFER = timedelta(seconds=5)

# The same columns as `waiting`, for what is on its way, too.
_LEDGER = """
    (select r.envelope, r.n, r.day, r.address, coalesce(r.domain, '') as domain,
            coalesce(r.sender, e.sender) as sender, tenant_of(e.auth, r.sender, e.sender) as tenant,
            r.state = 'held' as held, r.state = 'routed' as untried,
            words_said(r.status, r.reply, r.host) as said
       from {some} envelopes e join recipients r on r.day = e.day and r.envelope = e.id
      where (r.road is distinct from 'local' or r.state = 'held') and r.state in ({states}))
"""
_UNTRIED = _LEDGER.format(some="", states="'routed'")
_BY_ID = _LEDGER.format(
    some="unnest($1::date[], $2::uuid[]) as k (day, id) natural join",
    states="'routed', 'deferred', 'held'",
)
_TABLE = "waiting"
_STATES: dict[Waiting, str] = {"deferred": "not w.held", "held": "w.held", "untried": "w.untried"}
_NULL = frozenset({NULL_SENDER, "null"})  # easier to type, and no address


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which recipients; every condition that is given must hold.

    Attributes:
        ids: Of these messages.
        domain: For this domain; ``.far.test`` for all below it.
        sender: From this address; ``@far.test`` for all of that domain, ``<>`` or ``null`` for the null sender.
        recipient: To this address, or ``@far.test`` likewise.
        tenant: Sent by this domain of ours.
        older: Accepted at least so long ago.
        younger: Accepted less long ago.
        state: ``deferred``, ``held``, or ``untried``: on its way, and not tried yet.
        reply: The last reply (status, text, host) has this text, in whatever case.
    """

    ids: tuple[UUID, ...] | None = None
    domain: str | None = None
    sender: str | None = None
    recipient: str | None = None
    tenant: str | None = None
    older: timedelta | None = None
    younger: timedelta | None = None
    state: Waiting | None = None
    reply: str | None = None

    @property
    def is_everything(self) -> bool:
        """True if no condition was given."""
        return self == Choice()


@dataclass(frozen=True, slots=True)
class Clause:
    """A choice as SQL.

    Attributes:
        source: What is selected from; it is called ``w``.
        where: A condition, at least ``true``.
        values: Of the parameters, from ``$1`` on.
    """

    source: str
    where: str
    values: tuple[object, ...]

    def more(self, condition: str, *values: object) -> Clause:
        """Return this with one more ``condition``, ``{0}`` and so on for its ``values``."""
        names = [f"${len(self.values) + at}" for at in range(1, len(values) + 1)]
        return Clause(
            self.source, f"{self.where} and {condition.format(*names)}", (*self.values, *values)
        )


def clause_of(choice: Choice, now: datetime) -> Clause:
    """Return ``choice`` as SQL; ages count back from ``now``."""
    clause = Clause(_UNTRIED if choice.state == "untried" else _TABLE, "true", ())
    if choice.ids is not None:
        clause = Clause(_BY_ID, "true", ([day_of(each) for each in choice.ids], list(choice.ids)))
    for condition, value in _conditions(choice, now):
        clause = clause.more(condition, value)
    if choice.state is not None:  # no parameter: held mail has an index of its own
        clause = clause.more(_STATES[choice.state])
    return clause


def _conditions(choice: Choice, now: datetime) -> Iterator[tuple[str, object]]:
    if choice.domain is not None:
        yield _domain(choice.domain.lower())
    if choice.sender is not None:
        yield _address("sender", choice.sender)
    if choice.recipient is not None:
        yield _address("address", choice.recipient)
    if choice.tenant is not None:
        yield "w.tenant = {0}", choice.tenant.lower()
    if choice.reply is not None:
        yield "position({0} in w.said) > 0", storable(choice.reply).lower()
    yield from _ages(choice, now)


def _ages(choice: Choice, now: datetime) -> Iterator[tuple[str, object]]:
    """Ids sort by time, so an age is a bound of the key."""
    if choice.older is not None:
        yield "w.envelope < {0}::uuid", _first_id(now - choice.older)
    if choice.younger is not None:
        yield "w.envelope >= {0}::uuid", _first_id(now - choice.younger)


def _domain(domain: str) -> tuple[str, object]:
    return _backwards("w.domain", domain, is_ending=domain.startswith("."))


def _address(column: str, wanted: str) -> tuple[str, object]:
    key = storable(wanted).lower() if wanted not in _NULL else ""
    return _backwards(f"lower(w.{column})", key, is_ending=key.startswith("@"))


def _backwards(what: str, text: str, *, is_ending: bool) -> tuple[str, object]:
    """Compare backwards, as the indexes do: what has an ending in common are neighbours there."""
    backwards = text[::-1]
    if not is_ending:
        return f'reverse({what}) collate "C" = {{0}}', backwards
    return f'reverse({what}) collate "C" ^@ {{0}}', backwards


def _first_id(moment: datetime) -> UUID:
    """Return the lowest id of a message that was accepted at ``moment`` or later."""
    millis = max(0, int(moment.timestamp() * 1000))
    return UUID(int=millis << 80)


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """A walk through all that a choice finds; mail that comes meanwhile is not of it.

    Attributes:
        began: When; ages count from then.
        after: Where it has come to.
    """

    began: datetime
    after: Place = BEFORE_ALL


_SELECT = """
    select w.day, w.envelope, w.n, w.domain, w.sender from {source} w
     where {where} order by w.envelope, w.n limit {limit}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A recipient that a choice found.

    Attributes:
        id: Its message.
        n: Its number there.
        domain: The next hop's domain.
        sender: The reverse path it travels with.
    """

    id: UUID
    n: int
    domain: str
    sender: str

    @property
    def place(self) -> Place:
        """Where it stands in the order of a walk."""
        return (self.id, self.n)


async def choose(queries: Queries, choice: Choice, walk: Walk, limit: int) -> list[Chosen]:
    """Return the next ``limit`` recipients of a walk, in the order of acceptance."""
    clause = clause_of(choice, walk.began).more(
        "(w.envelope, w.n) > ({0}::uuid, {1}::int) and w.envelope < {2}::uuid",
        *walk.after,
        _first_id(walk.began + CLOCKS_DIFFER),
    )
    sql = _SELECT.format(source=clause.source, where=clause.where, limit=int(limit))
    return [
        Chosen(id=row["envelope"], n=row["n"], domain=row["domain"], sender=row["sender"])
        for row in await queries.fetch(sql, *clause.values)
    ]
