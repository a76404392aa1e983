"""ingress-smtp: its parts, and how they are put together."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial

from ingress_smtp.authentication import Authentication
from ingress_smtp.intake import Acceptance
from ingress_smtp.ports import Limits, Listeners, Port
from ingress_smtp.reception import Budget
from ingress_smtp.recipients import Gate
from ingress_smtp.session import House
from ingress_smtp.settings import IngressSettings
from ingress_smtp.transaction import Role, Terms
from posthouse.blobs import open_blobs
from posthouse.bus.ask import Asker
from posthouse.bus.connection import connect
from posthouse.bus.publisher import Publisher
from posthouse.credentials.passwords import Verifier
from posthouse.mail.admission import Verdict
from posthouse.runtime.outbox import Outbox
from posthouse.runtime.service import Lifecycle
from posthouse.runtime.tls import ServerCertificate
from posthouse.storage import directory
from posthouse.storage.ledger import Intake
from posthouse.storage.migrate import await_schema
from posthouse.storage.pool import open_pool

NAME = "ingress-smtp"


async def serve(settings: IngressSettings, lifecycle: Lifecycle) -> None:
    """Take mail until told to stop; then let running transactions finish."""
    async with AsyncExitStack() as stack:
        lifecycle.probes.ready("start", lambda: "waiting for PostgreSQL and its schema")
        house = await _house(settings, lifecycle, stack)
        certificate = _certificate(settings, lifecycle)
        listeners = await stack.enter_async_context(
            Listeners(
                house,
                host=settings.smtp_host,
                ports=_ports(settings, tls=certificate is not None),
                certificate=certificate.context if certificate else None,
                limits=Limits(
                    sessions=settings.sessions_max,
                    patience=timedelta(seconds=settings.idle_seconds),
                ),
            )
        )
        lifecycle.probes.forget("start")
        await lifecycle.stopping.wait()
        await listeners.drain(lifecycle.grace)


async def _house(settings: IngressSettings, lifecycle: Lifecycle, stack: AsyncExitStack) -> House:
    """Open what sessions share; it is closed in the opposite order, after the last session."""
    enter = stack.enter_async_context
    pool = await enter(
        open_pool(
            settings.database_url.get_secret_value(), connections=settings.database_connections
        )
    )
    keys = (settings.store_access_key, settings.store_secret_key)
    blobs = await enter(
        open_blobs(settings.store, *(key.get_secret_value() if key else None for key in keys))
    )
    broker_url = settings.broker_url.get_secret_value()
    broker = await enter(connect(broker_url, lifecycle.probes, NAME, grace=lifecycle.grace))
    await lifecycle.unless_stopped(await_schema(pool))
    ledger = await enter(Intake(pool))
    outbox = await enter(Outbox(pool, Publisher(broker)))
    asker = await enter(Asker(settings.policy_addresses, settings.deadline, Verdict))
    lifecycle.probes.ready("policy", asker.trouble)
    verifier = await enter(
        Verifier(partial(directory.credentials, pool), upgrade=partial(directory.renew_hash, pool))
    )
    acceptance = Acceptance(blobs=blobs, ledger=ledger, outbox=outbox, hostname=settings.hostname)
    lifecycle.probes.ready("acceptance", acceptance.trouble)
    return House(
        gate=Gate(asker),
        acceptance=acceptance,
        authentication=Authentication(
            verifier, penalty=timedelta(seconds=settings.auth_failure_seconds)
        ),
        budget=Budget(settings.reception_octets_max),
    )


def _certificate(settings: IngressSettings, lifecycle: Lifecycle) -> ServerCertificate | None:
    """Load the certificate, if there is one, and keep it fresh."""
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    certificate = ServerCertificate(settings.tls_certificate, settings.tls_key)
    lifecycle.on_reload(certificate.refresh)
    lifecycle.tasks.create_task(certificate.keep_fresh(), name="certificate")
    return certificate


def _ports(settings: IngressSettings, *, tls: bool) -> tuple[Port, ...]:
    """Return the listeners that are not off."""

    def terms(role: Role) -> Terms:
        return Terms(
            hostname=settings.hostname,
            role=role,
            tls=tls,
            message_octets_max=settings.message_octets_max,
            recipients_max=settings.recipients_max,
        )

    ports = (
        Port(number=settings.smtp_port, terms=terms("mx")),
        Port(number=settings.submission_port, terms=terms("submission")),
        Port(number=settings.smtps_port, terms=terms("submission"), implicit_tls=True),
    )
    return tuple(port for port in ports if port.number)
