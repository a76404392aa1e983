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
from posthouse.bus.connection import connect
from posthouse.bus.consumer import consume
from posthouse.bus.publisher import Publisher
from posthouse.bus.topology import INBOUND
from posthouse.mail.admission import Question
from posthouse.runtime.bounces import Reporter
from posthouse.runtime.outbox import Outbox
from posthouse.runtime.service import Lifecycle
from posthouse.storage import directory
from posthouse.storage.migrate import await_schema
from posthouse.storage.pool import open_pool

NAME = "policy"


async def serve(settings: PolicySettings, lifecycle: Lifecycle) -> None:
    """Answer questions and route mail until told to stop."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        database = settings.database_url.get_secret_value()
        lifecycle.probes.ready("start", lambda: "waiting for PostgreSQL and its schema")
        pool = await enter(open_pool(database, connections=settings.database_connections))
        keys = (settings.store_access_key, settings.store_secret_key)
        blobs = await enter(
            open_blobs(settings.store, *(key.get_secret_value() if key else None for key in keys))
        )
        broker_url = settings.broker_url.get_secret_value()
        broker = await enter(connect(broker_url, lifecycle.probes, NAME, grace=lifecycle.grace))
        await lifecycle.unless_stopped(await_schema(pool))
        publisher = Publisher(broker)
        resolve = partial(directory.resolve, pool)
        rewriter = Rewriter(settings.rewriting_key)
        routing = Routing(
            pool=pool,
            resolve=resolve,
            roads=publisher,
            outbox=await enter(Outbox(pool, publisher)),
            reporter=Reporter(
                blobs=blobs,
                hostname=settings.hostname,
                double_bounce_address=settings.double_bounce_address,
            ),
            rewriter=rewriter,
            postmaster=settings.postmaster_address,
        )
        if settings.policy_port:
            networks = Networks(pool, settings.networks)
            enquiries = Enquiries(
                Memory(resolve),
                networks,
                rewriter,
                hostname=settings.hostname,
                has_postmaster=bool(settings.postmaster_address),
            )
            await enter(
                serve_questions(
                    settings.policy_host,
                    settings.policy_port,
                    cast("type[Question]", Question),
                    enquiries.answer,
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
