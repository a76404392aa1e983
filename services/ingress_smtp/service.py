"""ingress-smtp: its parts, and how they are put together."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial

from ingress_smtp.authentication import Authentication
from ingress_smtp.authorship import Authorship
from ingress_smtp.budget import Budget
from ingress_smtp.contents import Contents
from ingress_smtp.conversation import House
from ingress_smtp.draft import Space
from ingress_smtp.holding import Holding
from ingress_smtp.intake import Acceptance
from ingress_smtp.listener import Patience
from ingress_smtp.ports import Limits, Listeners, Port
from ingress_smtp.reception import Reception
from ingress_smtp.recipients import Gate
from ingress_smtp.releases import Means, Pace, Releases
from ingress_smtp.settings import IngressSettings
from ingress_smtp.terms import Role, Terms
from posthouse.bus.ask import Asker
from posthouse.bus.publisher import Publisher
from posthouse.mail.admission import Verdict
from posthouse.mail.content import ContentVerdict
from posthouse.resolver import Resolver
from posthouse.runtime.foundation import START, open_foundation, own_certificate
from posthouse.runtime.logins import open_authenticator
from posthouse.runtime.outbox import Outbox
from posthouse.runtime.rates import SharedRates
from posthouse.runtime.service import Lifecycle
from posthouse.runtime.spool import Spool
from posthouse.storage import directory
from posthouse.storage.ledger import Intake, count_held, release
from posthouse.storage.pool import Pool

NAME = "ingress-smtp"


async def serve(settings: IngressSettings, lifecycle: Lifecycle) -> None:
    """Take mail until told to stop; then let running transactions finish."""
    async with AsyncExitStack() as stack:
        house = await _house(settings, lifecycle, stack)
        listeners = await stack.enter_async_context(
            Listeners(
                house,
                ports=_ports(settings, lifecycle),
                limits=Limits(
                    sessions=settings.sessions_max,
                    sessions_per_client=settings.sessions_per_client_max,
                    patience=Patience(
                        silence=timedelta(seconds=settings.idle_seconds),
                        message=timedelta(seconds=settings.message_seconds),
                    ),
                    manners=settings.manners,
                ),
            )
        )
        lifecycle.probes.forget(START)
        await lifecycle.stopping.wait()
        await listeners.drain(lifecycle.grace)


async def _house(settings: IngressSettings, lifecycle: Lifecycle, stack: AsyncExitStack) -> House:
    """Open what sessions share; it is closed in the opposite order, after the last session."""
    enter = stack.enter_async_context
    ground = await enter(open_foundation(NAME, settings, lifecycle))
    pool, blobs = ground.pool, ground.blobs
    rates = await enter(SharedRates(pool))
    ledger = await enter(Intake(pool))
    outbox = await enter(Outbox(pool, Publisher(ground.broker)))
    asker = await enter(Asker(settings.policy_addresses, settings.deadline, Verdict))
    # Connections of their own: a large message does not stand in the way of a short question.
    judges = await enter(
        Asker(settings.policy_addresses, settings.content_deadline, ContentVerdict)
    )
    lifecycle.probes.ready("policy", asker.trouble)
    authenticator = await enter(open_authenticator(settings, pool))
    gate = Gate(asker)
    acceptance = Acceptance(
        blobs=blobs,
        ledger=ledger,
        outbox=outbox,
        hostname=settings.hostname,
        examiner=Authorship(gate, settings.default_domain),
    )
    lifecycle.probes.ready("acceptance", acceptance.trouble)
    return House(
        gate=gate,
        limits=settings.limits(rates.buckets),
        acceptance=acceptance,
        authentication=Authentication(
            authenticator,
            penalty=timedelta(seconds=settings.auth_failure_seconds),
            failures=settings.login_failures(rates),
        ),
        contents=Contents(judges, blobs, settings.hostname),
        reception=_reception(settings, await enter(Spool(settings.spool_folder or blobs.nearby))),
        holding=Holding(partial(count_held, pool), settings.room),
        releases=_releases(settings, pool, outbox, rates) if settings.etrn == "on" else None,
    )


def _reception(settings: IngressSettings, spool: Spool) -> Reception:
    """Put together what messages come in by."""
    space = Space(
        memory=Budget(settings.reception_octets_max),
        disk=Budget(settings.spool_octets_max, is_disk=True),
        spool=spool,
        threshold=settings.spool_above_octets,
    )
    return Reception(space=space, rules=settings.rules)


def _releases(
    settings: IngressSettings, pool: Pool, outbox: Outbox, rates: SharedRates
) -> Releases:
    """Put together what carries out ETRN."""
    means = Means(
        release=partial(release, pool),
        route=partial(directory.route_of, pool),
        resolver=Resolver(settings.nameservers),
        outbox=outbox,
    )
    pace = Pace(buckets=rates.buckets, name=settings.clients.name, ask=rates.refresh)
    return Releases(means, settings.release_measure, pace)


def _ports(settings: IngressSettings, lifecycle: Lifecycle) -> tuple[Port, ...]:
    """Return the listeners that are not off."""
    # Servers show certificates of any authority, and would be turned away: people alone are asked.
    for_servers = own_certificate(settings, lifecycle, asking=False)
    for_people = own_certificate(settings, lifecycle)

    def port(number: int, role: Role, *, implicit_tls: bool = False) -> Port:
        certificate = for_people if role == "submission" else for_servers
        return Port(
            host=settings.lmtp_host if role == "lmtp" else settings.smtp_host,
            number=number,
            terms=Terms(
                hostname=settings.hostname,
                role=role,
                tls=certificate is not None,
                message_octets_max=settings.message_octets_max,
                recipients_max=settings.recipients_max,
                greeting="" if role == "lmtp" else settings.smtp_greeting,
                greet_delay=settings.greet_delay,
                greet_at_once=settings.greet_at_once,
                xclients=settings.xclients,
                courtesies=settings.courtesies,
                schedules=settings.schedules(role),
            ),
            certificate=certificate.context if certificate else None,
            implicit_tls=implicit_tls,
        )

    ports = (
        port(settings.smtp_port, "mx"),
        port(settings.submission_port, "submission"),
        port(settings.smtps_port, "submission", implicit_tls=True),
        port(settings.lmtp_port, "lmtp"),
    )
    return tuple(port for port in ports if port.number)
