"""delivery-remote: the list of its parts."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import timedelta

from delivery_remote.assembly import security
from delivery_remote.bookkeeping import Books
from delivery_remote.classes import Followed
from delivery_remote.delivery import Delivery, Parts
from delivery_remote.destinations import Destinations
from delivery_remote.folders import Filing
from delivery_remote.pace import Hall
from delivery_remote.pace.sharing import Sharing
from delivery_remote.refusals import Refusals
from delivery_remote.return_paths import ReturnAddresses
from delivery_remote.returns import returns
from delivery_remote.settings import RemoteSettings
from delivery_remote.sources import Sources
from delivery_remote.surplus import Surplus
from delivery_remote.ways import Ways
from posthouse.bus.consumer import Fairness, consume_fairly
from posthouse.bus.publisher import Publisher
from posthouse.bus.topology import REMOTE_ROADS
from posthouse.resolver import Resolver
from posthouse.runtime.foundation import START, Foundation, open_foundation
from posthouse.runtime.outbox import Outbox
from posthouse.runtime.rates import SharedRates
from posthouse.runtime.service import Lifecycle
from posthouse.storage.ledger import Claims, Settler
from posthouse.storage.pool import open_pool
from posthouse.storage.trace import Trace

NAME = "delivery-remote"
# A conversation may be slow without anything being wrong; see `handover.ASKING`, `TRANSACTION`.
PATIENCE = timedelta(minutes=26)


async def serve(settings: RemoteSettings, lifecycle: Lifecycle) -> None:
    """Deliver to the world until told to stop."""
    async with AsyncExitStack() as stack:
        ground = await stack.enter_async_context(open_foundation(NAME, settings, lifecycle))
        parts = await _parts(settings, ground, stack)
        lifecycle.probes.ready("results", parts.books.trouble)
        lifecycle.probes.ready("claims", parts.claims.trouble)
        delivery = Delivery(parts)
        fairness = Fairness(
            concurrency=settings.remote_concurrency,
            share=settings.share,
            surplus=Surplus(delivery),
        )
        lifecycle.probes.forget(START)
        await lifecycle.until_stopped(
            parts.destinations.manners.contexts.keep_fresh(),
            *(
                consume_fairly(
                    ground.broker,
                    road,
                    delivery,
                    beat=lifecycle.probes.progress(road, PATIENCE),
                    fairness=fairness,
                )
                for road in REMOTE_ROADS
            ),
        )


async def _parts(settings: RemoteSettings, ground: Foundation, stack: AsyncExitStack) -> Parts:
    """Open what a delivery is made of; ``stack`` closes it."""
    enter, pool, blobs = stack.enter_async_context, ground.pool, ground.blobs
    url = settings.database_url.get_secret_value()
    resolver = Resolver(settings.nameservers, validates=settings.nameservers_validate)
    guard, manners = await security(settings, pool, resolver, stack)
    buckets = (await enter(SharedRates(pool))).buckets
    hall = Hall(buckets=buckets)
    await enter(Sharing(pool, hall))
    outbox = await enter(Outbox(pool, Publisher(ground.broker)))
    return Parts(
        claims=await enter(Claims(await enter(open_pool(url, connections=1)))),
        blobs=blobs,
        addresses=ReturnAddresses(pool, await settings.return_paths(pool), settings.return_path),
        ways=Ways(pool, resolver, settings.customs),
        guard=guard,
        filing=stack.enter_context(Filing(settings.remote_folders, settings.hostname)),
        destinations=await enter(Destinations(manners, settings.limits, settings.shaping, hall)),
        sources=Sources(pool, buckets),
        books=Books(
            settler=await enter(Settler(pool)),
            outbox=outbox,
            trace=await enter(Trace(pool, NAME)),
            reporter=settings.reporter(blobs, pool),
            refusals=Refusals(pool, settings.suppression),
            classes=await enter(Followed(pool, settings.classes)),
        ),
        returns=await enter(returns(pool, outbox.publish, settings.remote_return_rate)),
    )
