"""The road of the indexer: a queue of its own, which may be emptied at any time.

What is on it stands in PostgreSQL too (`posthouse.storage.indexing`) and is offered again when it was
lost; so it has no parking place, and what cannot be read is dropped.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from posthouse.bus.connection import Broker
from posthouse.bus.feeding import Feed
from posthouse.bus.publisher import Parcel, Publisher
from posthouse.bus.topology import INDEX, ROADS_EXCHANGE
from posthouse.mail.errors import Unavailable
from posthouse.mail.index_work import IndexWork
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.probes import Beat

FIRST_HOLD_SECONDS = 0.1
LONGEST_HOLD_SECONDS = 5.0
PREFETCH = 1  # others may have time for the next one

log = get_logger()
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(IndexWork)

Work = Callable[[IndexWork], Awaitable[Sequence[IndexWork]]]  # what it returns is put back


async def offer(publisher: Publisher, works: Sequence[IndexWork]) -> None:
    """Put work on the queue; raise `Unavailable` if any of it was not confirmed."""
    await publisher.dispatch(
        [Parcel(exchange=ROADS_EXCHANGE, key=INDEX, body=_encoder.encode(work)) for work in works]
    )


async def work_off(broker: Broker, publisher: Publisher, do: Work, *, beat: Beat) -> None:
    """Hand what lies on the queue to ``do``, put back what is left, and acknowledge it; until cancelled.

    While ``do`` raises `Unavailable` the work is held; anything else it raises is a bug and escapes.
    """
    feed = Feed(broker, INDEX, beat)
    async with feed.open(prefetch=PREFETCH):
        while deliveries := await feed.take(1):
            bodies = [line for delivery in deliveries for line in delivery.lines]
            if all([await _done(feed, publisher, do, body) for body in bodies]):
                await feed.settle(deliveries)
            else:
                feed.abandon(deliveries)


async def _done(feed: Feed, publisher: Publisher, do: Work, body: bytes) -> bool:
    """Do the work however long others are away; False if we stop meanwhile."""
    try:
        work = _decoder.decode(body)
    except msgspec.DecodeError as error:
        log.error("work for the indexer unreadable", error=str(error))  # noqa: TRY400 - no bug here
        return True
    pause = FIRST_HOLD_SECONDS
    while not feed.is_stopping:
        try:
            await offer(publisher, await do(work))
        except Unavailable as outage:
            feed.beat.hold(str(outage))
            await feed.pause(pause)
            pause = min(2 * pause, LONGEST_HOLD_SECONDS)
        else:
            feed.beat.release()
            return True
    return False
