"""What can be done with a dead letter (pure).

The ledger is followed, not the letter: only recipients that lie dead there are the letter's. If all
have ended meanwhile, or go on by another copy, the letter is outlived: nothing is left to do.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from posthouse.bus.wire import decode
from posthouse.mail.envelope import Envelope
from posthouse.mail.errors import BadEnvelope
from posthouse.storage import ledger
from posthouse.storage.dead_letters import DeadLetter
from posthouse.storage.ledger import Looked, Place
from posthouse.storage.pool import Queries
from posthouse.telemetry import metrics
from posthouse.telemetry.logs import get_logger

Verb: TypeAlias = Literal["replay", "reroute", "bounce", "discard"]

UNREADABLE = "its envelope cannot be read"
UNKNOWN = "the ledger does not know its recipients"
NOT_ROUTED = "it was not routed yet, so no next hop can be chosen: replay it"
MAILBOX = "it goes into a mailbox here, to which no next hop leads: replay it"

ended = metrics.counter(
    "posthouse_postmaster_dead_letters_ended_total", "Dead letters ended by an operator", "how"
)

log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A letter that stays, because what is wanted cannot be done.

    Attributes:
        id: Its number.
        reason: Why not.
    """

    id: int
    reason: str


@dataclass(frozen=True, slots=True)
class Outlived:
    """Nothing is left to do for a letter."""


@dataclass(frozen=True, slots=True)
class Busy:
    """Somebody works on another copy at this moment; the letter stays."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A letter can go on.

    Attributes:
        places: Those of its recipients that lie dead.
    """

    places: tuple[Place, ...]


Prospect: TypeAlias = Kept | Outlived | Busy | Ready


def readable(letter: DeadLetter) -> Envelope | None:
    """Return the envelope in a letter; None if this version cannot read it."""
    try:
        return decode(letter.body)
    except BadEnvelope:
        return None


def places_of(letter: DeadLetter) -> tuple[Place, ...]:
    """Return the recipients that a letter speaks of; none if it cannot be read."""
    envelope = readable(letter)
    if envelope is None:
        return ()
    return tuple((envelope.id, recipient.n) for recipient in envelope.recipients)


def prospect_of(
    letter: DeadLetter,
    verb: Verb,
    looked: Mapping[Place, Looked],
    busy: Container[Place] = (),
) -> Prospect:
    """Decide whether ``verb`` can be done to a letter; ``looked`` is how its recipients stand."""
    places = places_of(letter)
    known = {place: looked[place] for place in places if place in looked}
    dead = {place: each for place, each in known.items() if each.state == "dead"}
    if not known:
        return Kept(id=letter.id, reason=UNKNOWN if places else UNREADABLE)
    if not dead:
        return Outlived()
    if any(place in busy for place in dead):
        return Busy()
    roads = {each.road for each in dead.values()}
    if verb == "reroute" and roads != {"remote"}:
        return Kept(id=letter.id, reason=NOT_ROUTED if None in roads else MAILBOX)
    return Ready(tuple(dead))


async def mark_dead(queries: Queries, letters: Iterable[DeadLetter]) -> None:
    """Mark the recipients of letters that could not be read when they were filed, and can be now."""
    for letter in letters:
        places = () if letter.envelope else places_of(letter)
        if places:
            await ledger.mark_dead(queries, places[0][0], letter.reason, [n for _, n in places])
