"""The postmaster: its parts, in the order they come up."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from typing import Any

from posthouse.bus.connection import connect
from posthouse.bus.publisher import Publisher
from posthouse.bus.topology import DEAD_QUEUES
from posthouse.bus.undertaking import undertake
from posthouse.runtime.service import Lifecycle
from posthouse.storage.pool import open_pool
from posthouse.telemetry.probes import Probes
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

NAME = "postmaster"
KEEP_PARTITIONS_EVERY = timedelta(hours=1)


async def serve(settings: PostmasterSettings, lifecycle: Lifecycle) -> None:
    """Run API and duties until `lifecycle` says stop."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        database_url = settings.database_url.get_secret_value()
        pool = await enter(open_pool(database_url, connections=settings.database_connections))
        if not await bring_schema(pool, lifecycle):
            return
        broker_url = settings.broker_url.get_secret_value()
        broker = await enter(connect(broker_url, lifecycle.probes, NAME, grace=lifecycle.grace))
        parts = Parts(
            settings=settings,
            pool=pool,
            broker=broker,
            publisher=Publisher(broker),
            hasher=await enter(Hasher()),
        )
        if settings.postmaster_port:
            listening = listener.bind(settings.postmaster_host, settings.postmaster_port)
            await enter(listener.serve(build(parts), listening, lifecycle.grace))
        await lifecycle.until_stopped(*_duties(parts, lifecycle.probes))


def _duties(parts: Parts, probes: Probes) -> Iterator[Coroutine[Any, Any, None]]:
    """Yield what is done without being asked."""
    pool, settings = parts.pool, parts.settings
    older_than = timedelta(seconds=settings.sweep_after_seconds)
    yield rounds(
        alone(pool, "sweeper", partial(sweep, pool, parts.publisher, older_than)),
        timedelta(seconds=settings.sweep_seconds),
        probes.progress("sweeper"),
    )
    yield rounds(
        alone(pool, "partitions", partial(keep_partitions, pool, settings.keep_days)),
        KEEP_PARTITIONS_EVERY,
        probes.progress("partitions"),
    )
    undertaker = Undertaker(pool)
    for queue in DEAD_QUEUES:
        yield undertake(parts.broker, queue, undertaker.file, beat=probes.progress(queue))
