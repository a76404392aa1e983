"""delivery-remote: the list of its parts."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta

from delivery_remote.bookkeeping import Books
from delivery_remote.delivery import Delivery, Parts, Shard
from delivery_remote.destinations import Destinations
from delivery_remote.routes import Routes
from delivery_remote.session import manners
from delivery_remote.settings import RemoteSettings
from posthouse.blobs import open_blobs
from posthouse.bus.connection import Broker, connect
from posthouse.bus.consumer import consume
from posthouse.bus.publisher import Publisher
from posthouse.bus.topology import REMOTE_ROADS
from posthouse.resolver import Resolver
from posthouse.runtime.bounces import Reporter
from posthouse.runtime.outbox import Outbox
from posthouse.runtime.service import Lifecycle
from posthouse.storage.ledger import Claims, Settler
from posthouse.storage.migrate import await_schema
from posthouse.storage.pool import open_pool
from posthouse.storage.trace import Trace

NAME = "delivery-remote"
# A conversation may be slow without anything being wrong; see `handover.ASKING`, `TRANSACTION`.
PATIENCE = timedelta(minutes=26)


async def serve(settings: RemoteSettings, lifecycle: Lifecycle) -> None:
    """Deliver to the world until told to stop, be it while we wait for the house to come up."""
    await lifecycle.until_stopped(_deliver(settings, lifecycle))


async def _deliver(settings: RemoteSettings, lifecycle: Lifecycle) -> None:
    broker_url = settings.broker_url.get_secret_value()
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(
            connect(broker_url, lifecycle.probes, NAME, grace=lifecycle.grace)
        )
        parts = await _parts(settings, broker, stack)
        lifecycle.probes.ready("results", parts.books.trouble)
        lifecycle.probes.ready("claims", parts.claims.trouble)
        delivery = Delivery(parts)
        async with asyncio.TaskGroup() as consumers:
            for road in REMOTE_ROADS:
                beat = lifecycle.probes.progress(road, PATIENCE)
                places = settings.remote_concurrency
                shard = Shard(delivery, places)
                consumers.create_task(
                    consume(broker, road, shard, beat=beat, concurrency=places), name=road
                )


async def _parts(settings: RemoteSettings, broker: Broker, stack: AsyncExitStack) -> Parts:
    """Open what a delivery is made of; ``stack`` closes it."""
    enter = stack.enter_async_context
    url = settings.database_url.get_secret_value()
    pool = await enter(open_pool(url, connections=settings.database_connections))
    await await_schema(pool)
    keys = (settings.store_access_key, settings.store_secret_key)
    access, secret = (key.get_secret_value() if key else None for key in keys)
    blobs = await enter(open_blobs(settings.store, access, secret))
    manner = manners(settings.hostname, settings.patience, settings.relay_authorities)
    resolver = Resolver(settings.nameservers)
    return Parts(
        claims=await enter(Claims(await enter(open_pool(url, connections=1)))),
        blobs=blobs,
        routes=Routes(pool, resolver, settings.hostname, port=settings.remote_port),
        destinations=await enter(Destinations(manner, settings.limits)),
        books=Books(
            settler=await enter(Settler(pool)),
            outbox=await enter(Outbox(pool, Publisher(broker))),
            trace=await enter(Trace(pool, NAME)),
            reporter=Reporter(
                blobs=blobs,
                hostname=settings.hostname,
                double_bounce_address=settings.double_bounce_address,
            ),
            timetable=settings.timetable,
            bounce_timetable=settings.bounce_timetable,
        ),
    )
