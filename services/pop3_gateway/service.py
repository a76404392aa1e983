"""pop3-gateway: its parts, and how they are put together."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial

from pop3_gateway.house import House
from pop3_gateway.leases import Leases
from pop3_gateway.listener import Door, Listener
from pop3_gateway.maildrops import Maildrops
from pop3_gateway.settings import Pop3Settings
from posthouse.blobs import open_blobs
from posthouse.bus.connection import connect
from posthouse.bus.publisher import Publisher
from posthouse.credentials.passwords import Verifier
from posthouse.runtime.service import Lifecycle
from posthouse.runtime.tls import ServerCertificate
from posthouse.storage import directory
from posthouse.storage.migrate import await_schema
from posthouse.storage.pool import open_pool
from posthouse.storage.trace import Trace

NAME = "pop3-gateway"


async def serve(settings: Pop3Settings, lifecycle: Lifecycle) -> None:
    """Let people fetch their mail until told to stop."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        url = settings.database_url.get_secret_value()
        pool = await enter(open_pool(url, connections=settings.database_connections))
        keys = (settings.store_access_key, settings.store_secret_key)
        access, secret = (key.get_secret_value() if key else None for key in keys)
        blobs = await enter(open_blobs(settings.store, access, secret))
        broker_url = settings.broker_url.get_secret_value()
        broker = await enter(connect(broker_url, lifecycle.probes, NAME, grace=lifecycle.grace))
        lifecycle.probes.ready("start", lambda: "waiting for PostgreSQL and its schema")
        await lifecycle.unless_stopped(await_schema(pool))
        lifecycle.probes.forget("start")
        verifier = await enter(
            Verifier(
                partial(directory.credentials, pool), upgrade=partial(directory.renew_hash, pool)
            )
        )
        leases = Leases(pool)
        certificate = _certificate(settings, lifecycle)
        house = House(
            maildrops=Maildrops(
                pool=pool,
                blobs=blobs,
                leases=leases,
                notices=Publisher(broker),
                notes=await enter(Trace(pool, NAME)),
            ),
            verify=verifier.verify,
            certificate=certificate.context if certificate else None,
            is_plaintext_allowed=settings.plaintext_auth,
            limits=settings.limits,
        )
        # Until the end, so that the sessions which finish behind the signal keep their locks.
        lifecycle.tasks.create_task(leases.keep())
        async with Listener(house).listening(_doors(settings, house), lifecycle.grace):
            await lifecycle.stopping.wait()


def _certificate(settings: Pop3Settings, lifecycle: Lifecycle) -> ServerCertificate | None:
    """Return our certificate, kept fresh; None if TLS is not offered."""
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    certificate = ServerCertificate(settings.tls_certificate, settings.tls_key)
    lifecycle.on_reload(certificate.refresh)
    lifecycle.tasks.create_task(certificate.keep_fresh())
    return certificate


def _doors(settings: Pop3Settings, house: House) -> list[Door]:
    doors = []
    if settings.pop3_port:
        doors.append(Door(host=settings.pop3_host, port=settings.pop3_port))
    if settings.pop3s_port and house.certificate is not None:
        doors.append(
            Door(host=settings.pop3_host, port=settings.pop3s_port, context=house.certificate)
        )
    return doors
