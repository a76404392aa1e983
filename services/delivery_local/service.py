"""delivery-local: its parts, and how they are put together."""

from __future__ import annotations

from delivery_local.deliver import Delivery
from delivery_local.settings import LocalSettings
from posthouse.bus.consumer import consume
from posthouse.bus.publisher import Publisher
from posthouse.bus.topology import LOCAL
from posthouse.runtime.foundation import START, open_foundation
from posthouse.runtime.outbox import Outbox
from posthouse.runtime.service import Lifecycle
from posthouse.storage.trace import Trace

NAME = "delivery-local"


async def serve(settings: LocalSettings, lifecycle: Lifecycle) -> None:
    """Deliver until told to stop."""
    async with open_foundation(NAME, settings, lifecycle) as ground:
        pool, publisher = ground.pool, Publisher(ground.broker)
        async with Outbox(pool, publisher) as outbox, Trace(pool, NAME) as trace:
            delivery = Delivery(
                pool=pool,
                reporter=settings.reporter(ground.blobs, pool),
                timetable=settings.timetable,
                bounce_timetable=settings.bounce_timetable,
                notices=publisher,
                outbox=outbox,
                notes=trace,
            )
            lifecycle.probes.forget(START)
            await lifecycle.until_stopped(
                consume(
                    ground.broker,
                    LOCAL,
                    delivery.deliver,
                    beat=lifecycle.probes.progress(LOCAL),
                    batch=settings.local_batch,
                    concurrency=settings.local_concurrency,
                )
            )
