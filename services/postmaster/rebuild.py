"""Rebuilding the broker from the ledger (promise 5).

Every unsettled recipient's envelope is published as it would look now. It is safe while traffic
runs and safe to repeat: an envelope that was there already finds its work done.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from posthouse.bus.connection import Broker
from posthouse.bus.publisher import Publisher
from posthouse.storage import ledger
from posthouse.storage.pool import Pool
from posthouse.telemetry.logs import get_logger
from postmaster.duties.sweeper import send_all

BATCH = 1000  # envelopes read and published together

log = get_logger()


async def rebuild(pool: Pool, broker: Broker, publisher: Publisher) -> AsyncIterator[int]:
    """Declare the roads, publish everything that is under way; yield how many so far.

    Raises:
        Unavailable: If the broker or PostgreSQL does not answer; begin again.
    """
    await broker.declare()
    published = 0
    yield published
    async for envelopes in ledger.iterate_unsettled(pool, BATCH):
        await send_all(publisher, envelopes)
        published += len(envelopes)
        yield published
    log.info("broker rebuilt", envelopes=published)
