"""What every station stands on: PostgreSQL, the object store, the broker; opened the same way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from posthouse.blobs import Blobs, open_blobs
from posthouse.bus.connection import Broker, connect
from posthouse.runtime.dkim_keys import DkimSettings, look_at_keys
from posthouse.runtime.doors import DoorSettings
from posthouse.runtime.service import Lifecycle
from posthouse.runtime.settings import CommonSettings
from posthouse.runtime.tls import ServerCertificate
from posthouse.storage.migrate import await_schema
from posthouse.storage.pool import Pool, open_pool

START = "start"  # the probe that fails until everything is open


@dataclass(frozen=True, slots=True, kw_only=True)
class Foundation:
    """What is shared by everything in one process.

    Attributes:
        pool: PostgreSQL, with the schema of this version.
        blobs: The object store.
        broker: RabbitMQ; it may be down, and readiness says so.
    """

    pool: Pool
    blobs: Blobs
    broker: Broker


@asynccontextmanager
async def open_foundation(
    name: str,
    settings: CommonSettings,
    lifecycle: Lifecycle,
    schema: Callable[[Pool], Awaitable[object]] = await_schema,
    *,
    writes_apart: bool = False,
) -> AsyncIterator[Foundation]:
    """Open what the service ``name`` stands on; it is closed behind everything that uses it.

    Args:
        name: Stands in connections, obituaries and logs.
        settings: Where everything is.
        lifecycle: Its probes say that we are not ready, until the caller, whose doors are open
            by then, forgets `START`.
        schema: Returns when it has.
        writes_apart: A process of its own writes objects (`posthouse.blobs.open_blobs`).

    Raises:
        StoppedEarly: If the service is told to stop before that.
        Unavailable: If the store is a directory that cannot be made.
    """
    probes = lifecycle.probes
    probes.ready(START, lambda: "waiting for PostgreSQL and its schema")
    database, broker_url = settings.database_url, settings.broker_url
    connections = settings.database_connections
    async with (
        open_pool(database.get_secret_value(), connections=connections) as pool,
        open_blobs(settings.store, *settings.store_keys, writes_apart=writes_apart) as blobs,
        connect(broker_url.get_secret_value(), probes, name, grace=lifecycle.grace) as broker,
    ):
        await lifecycle.unless_stopped(schema(pool))
        if isinstance(settings, DkimSettings):
            await look_at_keys(pool, settings)
        yield Foundation(pool=pool, blobs=blobs, broker=broker)


def own_certificate(
    settings: DoorSettings, lifecycle: Lifecycle, *, asking: bool = True
) -> ServerCertificate | None:
    """Return our certificates, kept fresh; None if there are none, so that TLS is not offered.

    Args:
        settings: Where they are.
        lifecycle: Keeps them fresh.
        asking: Clients are asked for a certificate of theirs, if there are authorities for that.
    """
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    certificate = ServerCertificate(
        settings.tls_certificate,
        settings.tls_key,
        folder=settings.tls_folder,
        terms=settings.tls_terms(asking=asking),
    )
    lifecycle.on_reload(certificate.refresh)
    lifecycle.tasks.create_task(certificate.keep_fresh(), name="certificate")
    return certificate
