"""policy: its parts, and how they are put together."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from typing import cast

from policy_engine.enquiries import Enquiries, Memory, Networks
from policy_engine.routing import Routing
from policy_engine.settings import PolicySettings
from policy_engine.srs import Rewriter
from posthouse.blobs import open_blobs
from posthouse.bus.ask import serve_questions
from posthouse.bus.connection import Broker, connect
from posthouse.bus.consumer import consume
from posthouse.bus.publisher import Publisher
from posthouse.bus.topology import INBOUND
from posthouse.mail.admission import Question
from posthouse.runtime.bounces import Reporter
from posthouse.runtime.outbox import Outbox
from posthouse.runtime.service import Lifecycle
from posthouse.storage import directory
from posthouse.storage.migrate import await_schema
from posthouse.storage.pool import Pool, open_pool

NAME = "policy"


async def serve(settings: PolicySettings, lifecycle: Lifecycle) -> None:
    """Answer questions and route mail until told to stop."""
    async with AsyncExitStack() as stack:
        lifecycle.probes.ready("start", lambda: "waiting for PostgreSQL and its schema")
        enter = stack.enter_async_context
        database = settings.database_url.get_secret_value()
        pool = await enter(open_pool(database, connections=settings.database_connections))
        broker_url = settings.broker_url.get_secret_value()
        broker = await enter(connect(broker_url, lifecycle.probes, NAME, grace=lifecycle.grace))
        await lifecycle.unless_stopped(await_schema(pool))
        routing = await _routing(settings, pool, broker, stack)
        if settings.policy_port:
            await enter(
                serve_questions(
                    settings.policy_host,
                    settings.policy_port,
                    cast("type[Question]", Question),
                    _enquiries(settings, pool).answer,
                )
            )
        lifecycle.probes.forget("start")
        await lifecycle.until_stopped(
            consume(
                broker,
                INBOUND,
                routing.route,
                beat=lifecycle.probes.progress(INBOUND),
                batch=settings.routing_batch,
                concurrency=settings.routing_concurrency,
            )
        )


async def _routing(
    settings: PolicySettings, pool: Pool, broker: Broker, stack: AsyncExitStack
) -> Routing:
    """Open what routing needs besides the database: objects for reports, and the roads."""
    keys = (settings.store_access_key, settings.store_secret_key)
    access, secret = (key.get_secret_value() if key else None for key in keys)
    blobs = await stack.enter_async_context(open_blobs(settings.store, access, secret))
    publisher = Publisher(broker)
    return Routing(
        pool=pool,
        resolve=partial(directory.resolve, pool),
        roads=publisher,
        outbox=await stack.enter_async_context(Outbox(pool, publisher)),
        reporter=Reporter(
            blobs=blobs,
            hostname=settings.hostname,
            double_bounce_address=settings.double_bounce_address,
        ),
        rewriter=Rewriter(settings.rewriting_key),
        postmaster=settings.postmaster_address,
    )


def _enquiries(settings: PolicySettings, pool: Pool) -> Enquiries:
    """Put together what answers questions."""
    return Enquiries(
        Memory(partial(directory.resolve, pool)),
        Networks(pool, settings.networks),
        Rewriter(settings.rewriting_key),
        hostname=settings.hostname,
        has_postmaster=bool(settings.postmaster_address),
    )
