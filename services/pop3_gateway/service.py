"""pop3-gateway: its parts, and how they are put together."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace

from pop3_gateway.house import House
from pop3_gateway.leases import Leases
from pop3_gateway.listener import Listener, Place
from pop3_gateway.maildrops import Maildrops
from pop3_gateway.settings import Pop3Settings
from posthouse.bus.publisher import Publisher
from posthouse.runtime.foundation import START, open_foundation, own_certificate
from posthouse.runtime.logins import open_authenticator
from posthouse.runtime.rates import SharedRates
from posthouse.runtime.service import Lifecycle
from posthouse.storage.trace import Trace

NAME = "pop3-gateway"


async def serve(settings: Pop3Settings, lifecycle: Lifecycle) -> None:
    """Let people fetch their mail until told to stop."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        ground = await enter(open_foundation(NAME, settings, lifecycle))
        pool = ground.pool
        leases = Leases(pool)
        rates = await enter(SharedRates(pool))
        certificate = own_certificate(settings, lifecycle)
        house = House(
            maildrops=Maildrops(
                pool=pool,
                blobs=ground.blobs,
                leases=leases,
                notices=Publisher(ground.broker),
                notes=await enter(Trace(pool, NAME)),
            ),
            authenticator=await enter(open_authenticator(settings, pool)),
            certificate=certificate.context if certificate else None,
            is_plaintext_allowed=settings.plaintext_auth,
            limits=settings.limits,
            failures=settings.login_failures(rates),
            turnstile=settings.turnstile(rates, "pop3-connections", settings.rate_pop3_connections),
        )
        # Until the end, so that the sessions which finish behind the signal keep their locks.
        lifecycle.tasks.create_task(leases.keep())
        async with Listener(house).listening(_places(settings, house), lifecycle.grace):
            lifecycle.probes.forget(START)
            await lifecycle.stopping.wait()


def _places(settings: Pop3Settings, house: House) -> list[Place]:
    host, manners = settings.pop3_host, settings.manners
    places = []
    if settings.pop3_port:
        places.append(Place(host=host, port=settings.pop3_port, manners=manners))
    if settings.pop3s_port and house.certificate is not None:
        manners = replace(manners, context=house.certificate)
        places.append(Place(host=host, port=settings.pop3s_port, manners=manners))
    return places
