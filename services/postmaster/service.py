"""The postmaster: its parts, in the order they come up."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import timedelta

from posthouse.bus.connection import connect
from posthouse.bus.publisher import Publisher
from posthouse.bus.topology import DEAD_QUEUES
from posthouse.bus.undertaking import undertake
from posthouse.runtime.service import Lifecycle
from posthouse.storage.pool import open_pool
from postmaster.api import listener
from postmaster.api.application import build
from postmaster.api.hashing import Hasher
from postmaster.api.parts import Parts
from postmaster.duties.partitions import keep_partitions
from postmaster.duties.rounds import alone, rounds
from postmaster.duties.schema import bring_schema
from postmaster.duties.sweeper import sweep
from postmaster.duties.undertaker import Undertaker
from postmaster.settings import PostmasterSettings

KEEP_PARTITIONS_EVERY = timedelta(hours=1)


async def serve(settings: PostmasterSettings, lifecycle: Lifecycle) -> None:
    """Run API and duties until `lifecycle` says stop."""
    database, broker_url = settings.database_url, settings.broker_url
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(
            open_pool(database.get_secret_value(), connections=settings.database_connections)
        )
        if not await bring_schema(pool, lifecycle):
            return
        broker = await stack.enter_async_context(
            connect(
                broker_url.get_secret_value(), lifecycle.probes, "postmaster", grace=lifecycle.grace
            )
        )
        publisher = Publisher(broker)
        hasher = await stack.enter_async_context(Hasher())
        parts = Parts(
            settings=settings, pool=pool, broker=broker, publisher=publisher, hasher=hasher
        )
        if settings.postmaster_port:
            listening = listener.bind(settings.postmaster_host, settings.postmaster_port)
            await stack.enter_async_context(
                listener.serve(build(parts), listening, lifecycle.grace)
            )
        older_than = timedelta(seconds=settings.sweep_after_seconds)
        undertaker = Undertaker(pool)
        probes = lifecycle.probes
        await lifecycle.until_stopped(
            rounds(
                alone(pool, "sweeper", lambda: sweep(pool, publisher, older_than)),
                timedelta(seconds=settings.sweep_seconds),
                probes.progress("sweeper"),
            ),
            rounds(
                alone(pool, "partitions", lambda: keep_partitions(pool, settings.keep_days)),
                KEEP_PARTITIONS_EVERY,
                probes.progress("partitions"),
            ),
            *(
                undertake(broker, queue, undertaker.file, beat=probes.progress(queue))
                for queue in DEAD_QUEUES
            ),
        )
