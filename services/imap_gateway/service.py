"""imap-gateway: its parts, and how they are put together."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial

from imap_gateway.bodies import Bodies
from imap_gateway.contents import Contents
from imap_gateway.handlers import HANDLERS
from imap_gateway.house import House, Limits
from imap_gateway.listener import Listener
from imap_gateway.reads import Reads
from imap_gateway.settings import ImapSettings
from imap_gateway.updates import Updates
from imap_gateway.views import Views
from posthouse.blobs import open_blobs
from posthouse.bus.connection import connect
from posthouse.bus.events import subscribe
from posthouse.bus.publisher import Publisher
from posthouse.credentials.passwords import Verifier
from posthouse.runtime.service import Lifecycle
from posthouse.runtime.tls import ServerCertificate
from posthouse.storage import directory
from posthouse.storage.migrate import await_schema
from posthouse.storage.pool import open_pool
from posthouse.storage.trace import Trace

NAME = "imap-gateway"


async def serve(settings: ImapSettings, lifecycle: Lifecycle) -> None:
    """Serve mailboxes until told to stop; then let running commands finish."""
    async with AsyncExitStack() as stack:
        house = await _house(settings, lifecycle, stack)
        certificate = _certificate(settings, lifecycle)
        listener = Listener(house, HANDLERS, certificate, lifecycle.tasks)
        if settings.imap_port:
            await listener.listen(settings.imap_host, settings.imap_port, tls=False)
        if settings.imaps_port and certificate is not None:
            await listener.listen(settings.imap_host, settings.imaps_port, tls=True)
        lifecycle.tasks.create_task(listener.keep_time(), name="timeouts")
        await lifecycle.stopping.wait()
        await listener.drain(lifecycle.grace)


async def _house(settings: ImapSettings, lifecycle: Lifecycle, stack: AsyncExitStack) -> House:
    """Open what sessions share; it is closed in the opposite order, after the last session."""
    enter, probes = stack.enter_async_context, lifecycle.probes
    probes.ready("start", lambda: "waiting for PostgreSQL and its schema")
    url = settings.database_url.get_secret_value()
    pool = await enter(open_pool(url, connections=settings.database_connections))
    keys = (settings.store_access_key, settings.store_secret_key)
    blobs = await enter(
        open_blobs(settings.store, *(key.get_secret_value() if key else None for key in keys))
    )
    broker_url = settings.broker_url.get_secret_value()
    broker = await enter(connect(broker_url, probes, NAME, grace=lifecycle.grace))
    await lifecycle.unless_stopped(await_schema(pool))
    probes.forget("start")
    trace = await enter(Trace(pool, NAME))
    verifier = await enter(
        Verifier(partial(directory.credentials, pool), upgrade=partial(directory.renew_hash, pool))
    )
    views = Views(pool, asyncio.get_running_loop().time)
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
        verify=verifier.verify,
        limits=_limits(settings),
        is_plaintext_allowed=settings.imap_plaintext_login,
        logged_in={},
    )


def _limits(settings: ImapSettings) -> Limits:
    return Limits(
        message_octets=settings.message_octets_max,
        connections=settings.imap_connections_max,
        connections_per_account=settings.imap_account_connections_max,
        login_delay=timedelta(seconds=settings.imap_failure_seconds),
        before_login=timedelta(seconds=settings.imap_login_seconds),
        silence=timedelta(seconds=settings.imap_idle_seconds),
    )


def _certificate(settings: ImapSettings, lifecycle: Lifecycle) -> ServerCertificate | None:
    """Load the certificate, if there is one, and keep it fresh."""
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    certificate = ServerCertificate(settings.tls_certificate, settings.tls_key)
    lifecycle.on_reload(certificate.refresh)
    lifecycle.tasks.create_task(certificate.keep_fresh(), name="certificate")
    return certificate
