"""The sweeper: publishes what was committed and never published (promise 5).

Whoever accepts mail publishes it right after the commit and deletes its id from ``unpublished``.
What is in there for longer was accepted while the broker was away, or its acceptor died. A doubled
envelope does no harm: its work is found done. Held mail comes in there when its time has come
(`posthouse.storage.ledger.holding`), so the sweeper is what starts it on its way. And what an
operator made due is published here if the one who did it could not
(`posthouse.storage.ledger.deciding`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta

from posthouse.bus.publisher import Publisher
from posthouse.bus.topology import road_of
from posthouse.mail.envelope import Envelope
from posthouse.storage import ledger
from posthouse.storage.pool import Pool
from posthouse.telemetry import metrics
from posthouse.telemetry.logs import get_logger

BATCH = 500  # envelopes per look

_swept = metrics.counter(
    "posthouse_postmaster_swept_total", "Envelopes published by the sweeper, not by their acceptor"
)
_released = metrics.counter(
    "posthouse_postmaster_released_total", "Held mails that started on their way"
)

log = get_logger()


async def sweep(pool: Pool, publisher: Publisher, older_than: timedelta) -> int:
    """Publish everything that waits for longer than ``older_than``; return how many.

    Raises:
        Unavailable: If PostgreSQL or the broker does not answer; what was not done stays noted.
    """
    total = 0
    while envelopes := await ledger.claim_unpublished(pool, older_than, BATCH):
        await send_all(publisher, envelopes)
        await ledger.published(pool, [envelope.id for envelope in envelopes])
        total += len(envelopes)
        were_held = sum(envelope.released > envelope.arrived for envelope in envelopes)
        _released.inc(were_held)
        _swept.inc(len(envelopes) - were_held)
    while (found := await ledger.claim_marked(pool, older_than, BATCH)).marks:
        await send_all(publisher, found.envelopes)
        await ledger.unmark(pool, found.marks)
        total += len(found.envelopes)
        _swept.inc(len(found.envelopes))
    if total:
        log.info("envelopes swept", envelopes=total)
    return total


async def send_all(publisher: Publisher, envelopes: Sequence[Envelope]) -> None:
    """Put each envelope on its road; return when the broker has all of them."""
    by_road: dict[str, list[Envelope]] = defaultdict(list)
    for envelope in envelopes:
        by_road[road_of(envelope)].append(envelope)
    for road, together in by_road.items():
        await publisher.send(road, together)
