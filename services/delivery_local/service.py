"""delivery-local: its parts, and how they are put together."""

from __future__ import annotations

from delivery_local.deliver import Delivery
from delivery_local.settings import LocalSettings
from posthouse.blobs import open_blobs
from posthouse.bus.connection import connect
from posthouse.bus.consumer import consume
from posthouse.bus.publisher import Publisher
from posthouse.bus.topology import LOCAL
from posthouse.runtime.bounces import Reporter
from posthouse.runtime.outbox import Outbox
from posthouse.runtime.service import Lifecycle
from posthouse.storage.migrate import await_schema
from posthouse.storage.pool import open_pool
from posthouse.storage.trace import Trace

NAME = "delivery-local"


async def serve(settings: LocalSettings, lifecycle: Lifecycle) -> None:
    """Deliver until told to stop."""
    keys = (settings.store_access_key, settings.store_secret_key)
    access, secret = (key.get_secret_value() if key else None for key in keys)
    database = settings.database_url.get_secret_value()
    broker_url = settings.broker_url.get_secret_value()
    async with (
        open_pool(database, connections=settings.database_connections) as pool,
        open_blobs(settings.store, access, secret) as blobs,
        connect(broker_url, lifecycle.probes, NAME, grace=lifecycle.grace) as broker,
    ):
        lifecycle.probes.ready("start", lambda: "waiting for PostgreSQL and its schema")
        await lifecycle.unless_stopped(await_schema(pool))
        lifecycle.probes.forget("start")
        publisher = Publisher(broker)
        async with Outbox(pool, publisher) as outbox, Trace(pool, NAME) as trace:
            delivery = Delivery(
                pool=pool,
                reporter=Reporter(
                    blobs=blobs,
                    hostname=settings.hostname,
                    double_bounce_address=settings.double_bounce_address,
                ),
                timetable=settings.timetable,
                bounce_timetable=settings.bounce_timetable,
                notices=publisher,
                outbox=outbox,
                notes=trace,
            )
            await lifecycle.until_stopped(
                consume(
                    broker,
                    LOCAL,
                    delivery.deliver,
                    beat=lifecycle.probes.progress(LOCAL),
                    batch=settings.local_batch,
                    concurrency=settings.local_concurrency,
                )
            )
