"""Some dead letters back on the road, as the ledger says, or by another next hop.

What travels again is on probation: it carries the history of a letter that has failed as often as
is borne, so its next failure buries it at once. Else a fault that is still there would show only
after the minutes in which a bug is waited out, when all its letters have been sent after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from posthouse.bus.moves import BUG_WAITS
from posthouse.bus.obituary import History
from posthouse.bus.publisher import Parcel
from posthouse.bus.topology import road_of
from posthouse.bus.wire import encode
from posthouse.mail.envelope import Envelope
from posthouse.storage import audit, ledger
from posthouse.storage.dead_letters import DeadLetter, DeadState, end_dead, take_dead
from posthouse.storage.ledger import Changed, Place
from posthouse.storage.pool import Tx, transaction
from postmaster.dead_turns import Desk, Order, Turn, Walk
from postmaster.deadletters import (
    Busy,
    Kept,
    Outlived,
    Prospect,
    Ready,
    ended,
    mark_dead,
    places_of,
    prospect_of,
)

WHY_OUTLIVED = "its recipients had ended, or go on by another copy"


async def step(desk: Desk, order: Order, walk: Walk, limit: int) -> Turn:
    """Send the next ``limit`` letters of a replay or a reroute.

    Raises:
        Unavailable: If PostgreSQL or the broker does not answer; what was changed is published by
            the sweeper.
    """
    state: DeadState = "rerouted" if order.verb == "reroute" else "replayed"
    async with transaction(desk.pool) as tx:
        letters = await take_dead(tx, order.choice, walk.after, walk.through, limit)
        await mark_dead(tx, letters)
        turn = _turn(await _prospects(tx, order, letters), walk)
        via = order.text if order.verb == "reroute" else None
        risen = await ledger.revive(tx, turn.places, via)
        await ledger.note(tx, risen.places, state, walk.detail(order))
        await end_dead(tx, [letter.id for letter in turn.changed], state, order.text)
        await end_dead(tx, [letter.id for letter in turn.outlived], "outlived", WHY_OUTLIVED)
        await audit.count(tx, walk.audit, changed=len(turn.changed), busy=turn.busy)
    ended.labels(state).inc(len(turn.changed))
    ended.labels("outlived").inc(len(turn.outlived))
    await _publish(desk, risen, turn.changed)
    return turn


async def claimed(tx: Tx, places: Sequence[Place]) -> frozenset[Place]:
    """Claim those for the outside until ``tx`` ends; return those that somebody works on.

    On the other roads the rows are locks enough: they are settled where they are filed or routed.
    """
    looked = await ledger.look(tx, places)
    outside = [each.chosen for each in looked.values() if each.road == "remote"]
    free = {each.place for each in await ledger.take(tx, outside)}
    return frozenset(each.place for each in outside) - free


async def _prospects(
    tx: Tx, order: Order, letters: Sequence[DeadLetter]
) -> list[tuple[DeadLetter, Prospect]]:
    places = list(dict.fromkeys(place for letter in letters for place in places_of(letter)))
    # A copy that is sent at this moment must not learn of another way in the middle of it.
    busy = await claimed(tx, places) if order.verb == "reroute" else frozenset[Place]()
    looked = await ledger.look(tx, places, lock=True)
    return [(each, prospect_of(each, order.verb, looked, busy)) for each in letters]


def _turn(prospects: Sequence[tuple[DeadLetter, Prospect]], walk: Walk) -> Turn:
    ready = [(letter, each.places) for letter, each in prospects if isinstance(each, Ready)]
    return Turn(
        seen=len(prospects),
        last=prospects[-1][0].id if prospects else walk.after,
        changed=tuple(letter for letter, _ in ready),
        outlived=tuple(letter for letter, each in prospects if isinstance(each, Outlived)),
        kept=tuple(each for _, each in prospects if isinstance(each, Kept)),
        busy=sum(isinstance(each, Busy) for _, each in prospects),
        places=tuple(dict.fromkeys(place for _, places in ready for place in places)),
    )


async def _publish(desk: Desk, risen: Changed, letters: Sequence[DeadLetter]) -> None:
    """Put them on their roads, and take their marks off; these stay if the broker is away."""
    if risen.due:
        first = {ident: each.first_failed for each in letters for ident, _ in places_of(each)}
        envelopes = await ledger.all_envelopes_at(desk.pool, risen.due)
        await desk.publisher.dispatch([_parcel(envelope, first) for envelope in envelopes])
        await ledger.unmark(desk.pool, risen.marks)


def _parcel(envelope: Envelope, first_failed: Mapping[UUID, datetime]) -> Parcel:
    probation = History(failures=len(BUG_WAITS), first_failed=first_failed[envelope.id])
    return Parcel.on_road(road_of(envelope), encode(envelope), probation)
