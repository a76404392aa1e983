"""imap-gateway: its parts, and how they are put together."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import timedelta
from functools import partial

from imap_gateway.handlers import HANDLERS
from imap_gateway.house import House, Limits
from imap_gateway.listener import Listener
from imap_gateway.memory.bodies import Bodies
from imap_gateway.memory.contents import Contents
from imap_gateway.memory.reads import Reads
from imap_gateway.memory.updates import Updates
from imap_gateway.memory.views import Views
from imap_gateway.rehearsal import rehearse
from imap_gateway.searching.covering import keep_covering
from imap_gateway.settings import ImapSettings
from imap_gateway.training import Training
from posthouse.bus.events import subscribe
from posthouse.bus.publisher import Publisher
from posthouse.extraction.workshop import Workshop, open_workshop
from posthouse.runtime.allocator import enlarge_pages
from posthouse.runtime.foundation import START, open_foundation, own_certificate
from posthouse.runtime.logins import open_authenticator
from posthouse.runtime.rates import SharedRates
from posthouse.runtime.service import Lifecycle
from posthouse.runtime.spool import Spool
from posthouse.storage.appending import Appender
from posthouse.storage.trace import Trace

NAME = "imap-gateway"

DOCUMENT_READERS = 1  # processes; started by the first search that meets a document nobody has read

# So long may a thread that looks at a million messages keep the event loop waiting, each time that
# it has something to do; Python's own 5 ms are felt by all other sessions (`imap_gateway.aside`).
SWITCH_SECONDS = 0.0005


async def serve(settings: ImapSettings, lifecycle: Lifecycle) -> None:
    """Serve mailboxes until told to stop; then let running commands finish."""
    sys.setswitchinterval(SWITCH_SECONDS)
    async with AsyncExitStack() as stack:
        house = await _house(settings, lifecycle, stack)
        certificate = own_certificate(settings, lifecycle)
        await rehearse(house.pool)
        enlarge_pages()
        listener = Listener(house, HANDLERS, certificate, lifecycle.tasks, settings.manners)
        if settings.imap_port:
            await listener.listen(settings.imap_host, settings.imap_port, tls=False)
        if settings.imaps_port and certificate is not None:
            await listener.listen(settings.imap_host, settings.imaps_port, tls=True)
        lifecycle.tasks.create_task(listener.keep_time(), name="timeouts")
        lifecycle.tasks.create_task(keep_covering(house), name="folding")
        lifecycle.probes.forget(START)
        await lifecycle.stopping.wait()
        await listener.drain(lifecycle.grace)


async def _house(settings: ImapSettings, lifecycle: Lifecycle, stack: AsyncExitStack) -> House:
    """Open what sessions share; it is closed in the opposite order, after the last session."""
    enter = stack.enter_async_context
    ground = await enter(open_foundation(NAME, settings, lifecycle, writes_apart=True))
    pool, blobs, broker = ground.pool, ground.blobs, ground.broker
    trace = await enter(Trace(pool, NAME))
    rates = await enter(SharedRates(pool))
    clock, budget = asyncio.get_running_loop().time, settings.imap_views_octets_max
    views = Views(pool, clock, max_octets=budget)
    updates = Updates(pool, views, Publisher(broker))
    duties = (updates.keep_telling(), updates.keep_fresh(), updates.keep_looking())
    for duty in (*duties, subscribe(broker, updates.heard, updates.missed)):
        lifecycle.tasks.create_task(duty)
    return House(
        pool=pool,
        blobs=blobs,
        views=views,
        updates=updates,
        bodies=Bodies(blobs),
        contents=Contents(pool),
        reads=Reads(pool, partial(trace.note, what="read")),
        authenticator=await enter(open_authenticator(settings, pool)),
        appender=await enter(Appender(pool)),
        spool=await enter(Spool(blobs.nearby)),
        workshop=await enter(_workshop(settings)),
        training=Training(pool, settings.bayes_junk_trains),
        limits=_limits(settings),
        is_plaintext_allowed=settings.imap_plaintext_login,
        failures=settings.login_failures(rates),
        turnstile=settings.turnstile(rates, "imap-connections", settings.rate_imap_connections),
    )


def _workshop(settings: ImapSettings) -> AbstractAsyncContextManager[Workshop]:
    """Read documents that are not indexed yet, if they are searched at all."""
    return open_workshop(
        DOCUMENT_READERS if settings.index_documents else 0,
        patience=timedelta(seconds=settings.index_seconds),
        memory=settings.index_memory_octets,
    )


def _limits(settings: ImapSettings) -> Limits:
    return Limits(
        message_octets=settings.message_octets_max,
        connections=settings.imap_connections_max,
        connections_per_client=settings.imap_client_connections_max,
        connections_per_account=settings.imap_account_connections_max,
        connections_per_account_and_client=settings.imap_account_client_connections_max,
        login_delay=timedelta(seconds=settings.imap_failure_seconds),
        before_login=timedelta(seconds=settings.imap_login_seconds),
        silence=timedelta(seconds=settings.imap_idle_seconds),
    )
