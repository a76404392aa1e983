"""Carrying out what an operator decides of the queue: batch after batch, each whole or not at all.

A batch changes the ledger, the trace and the audit in one transaction; what is due then is
published. Whoever is killed in between leaves a mark, and the sweeper publishes it
(`posthouse.storage.ledger.deciding`). An operation that was broken off is run again: what it has
changed it does not find again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from posthouse.bus.publisher import Publisher
from posthouse.mail.envelope import Remote
from posthouse.storage import audit, ledger
from posthouse.storage.ledger import Changed, Choice, Place, Walk
from posthouse.storage.pool import Pool, Tx, transaction
from posthouse.telemetry import metrics
from posthouse.telemetry.logs import get_logger
from postmaster.duties.sweeper import send_all

Verb: TypeAlias = Literal["flush", "retry", "hold", "release", "reroute", "bounce", "delete"]

BATCH = 1000  # recipients per transaction

_PLAIN: dict[Verb, Callable[[Tx, Sequence[Place]], Awaitable[Changed]]] = {
    "flush": ledger.retry,
    "retry": ledger.retry,
    "hold": ledger.hold,
    "release": ledger.let_go,
    "delete": ledger.delete,
}
_WITH_TEXT: dict[Verb, Callable[[Tx, Sequence[Place], str], Awaitable[Changed]]] = {
    "reroute": ledger.reroute,
    "bounce": ledger.bounce,
}
# What the trace says of each.
_PAST: dict[Verb, str] = {
    "flush": "made due",
    "retry": "made due",
    "hold": "held",
    "release": "released",
    "reroute": "rerouted",
    "bounce": "to be returned",
    "delete": "deleted",
}

log = get_logger()
_decided = metrics.counter(
    "posthouse_postmaster_queue_decisions_total",
    "Recipients changed by what an operator decided of the queue",
    "verb",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What an operator decides.

    Attributes:
        verb: What is done.
        choice: Of which.
        words: The choice as one would type it.
        actor: Who decides, as their client says.
        text: The next hop of a reroute, or the reason of a bounce.
    """

    verb: Verb
    choice: Choice
    words: str
    actor: str
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an operation is.

    Attributes:
        audit: The number of its entry.
        found: How many recipients it was to concern when it began.
        seen: How many it has looked at.
        changed: How many it has changed.
        busy: How many it has left alone, because they were under way.
    """

    audit: int
    found: int
    seen: int = 0
    changed: int = 0
    busy: int = 0


async def carry_out(pool: Pool, publisher: Publisher, order: Order) -> AsyncIterator[Progress]:
    """Do it, and yield the progress after each batch; the last one tells all.

    Raises:
        Unavailable: If PostgreSQL or the broker does not answer; what was changed is changed, and
            what was to be published will be.
    """
    found = await ledger.count_waiting(pool, order.choice)
    number = await audit.begin(
        pool,
        audit.Intent(
            actor=order.actor,
            action=f"queue {order.verb}",
            chosen=order.words,
            detail=order.text,
            found=found,
        ),
    )
    log.warning("queue operation began", audit=number, verb=order.verb, actor=order.actor)
    progress = Progress(audit=number, found=found)
    yield progress
    walk: Walk | None = Walk(began=datetime.now(UTC))
    while walk is not None:
        walk, progress = await _step(pool, publisher, order, (walk, progress))
        yield progress
    await audit.end(pool, number)
    log.warning("queue operation ended", audit=number, changed=progress.changed)


async def _step(
    pool: Pool, publisher: Publisher, order: Order, at: tuple[Walk, Progress]
) -> tuple[Walk | None, Progress]:
    """Do one batch; return where the next one begins, None at the end."""
    walk, progress = at
    async with transaction(pool) as tx:
        chosen = await ledger.choose(tx, order.choice, walk, BATCH)
        free = await ledger.take(tx, chosen)
        places = [each.place for each in free]
        if order.verb in _WITH_TEXT:
            changed = await _WITH_TEXT[order.verb](tx, places, order.text)
        else:
            changed = await _PLAIN[order.verb](tx, places)
        detail = f"by {order.actor}, audit {progress.audit}" + (order.text and f": {order.text}")
        await ledger.note(tx, changed.places, _PAST[order.verb], detail)
        busy = len(chosen) - len(free)
        await audit.count(tx, progress.audit, changed=len(changed.places), busy=busy)
    await publish(pool, publisher, changed)
    _decided.labels(order.verb).inc(len(changed.places))
    progress = replace(
        progress,
        seen=progress.seen + len(chosen),
        changed=progress.changed + len(changed.places),
        busy=progress.busy + busy,
    )
    return (replace(walk, after=chosen[-1].place) if len(chosen) == BATCH else None), progress


async def publish(pool: Pool, publisher: Publisher, changed: Changed) -> None:
    """Publish what is due, and take its marks off; the marks stay if the broker does not answer."""
    if changed.due:
        found = await ledger.all_envelopes_at(pool, changed.due)
        # What was held on its way to a mailbox here, or before it was routed.
        here = [each for each in found if not isinstance(each, Remote)]
        await send_all(publisher, [*ledger.requested(found), *here])
        await ledger.unmark(pool, changed.marks)
