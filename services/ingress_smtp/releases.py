"""Releases: what waits for a site goes out when one of its servers says that it is up (RFC 1985).

Nobody else may ask, and none may ask often: a release costs the ledger a look at all that waits and
sends so much mail to so few. A server of a domain is where its route leads or, without one, its MX.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv6Address, ip_address
from itertools import chain
from typing import Protocol

from msgspec import structs

from ingress_smtp.replies import Reply, say
from posthouse.mail.answers import Answer, Empty, Exchange, Found, Temporary
from posthouse.mail.envelope import Envelope, Remote
from posthouse.mail.errors import Unavailable
from posthouse.mail.hops import Kind
from posthouse.mail.networks import NOWHERE, USUAL, Networks
from posthouse.mail.rates import Buckets, Rate
from posthouse.storage.directory import Route
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

MAX_HOSTS = 5  # servers of a domain that are looked up
MAX_DOMAINS = 60  # that one client may ask for within the pause
WHAT = "releases"

_ASKED = counter("posthouse_ingress_releases_total", "What came of ETRN.", "outcome")
_RELEASED = counter("posthouse_ingress_released_total", "Envelopes published because of ETRN.")
log = get_logger()


class Release(Protocol):
    """`posthouse.storage.ledger.release`."""

    async def __call__(self, domain: str, *, below: bool, limit: int) -> list[Remote]:
        """Make what is deferred for ``domain`` due and return its envelopes."""


class FindRoute(Protocol):
    """`posthouse.storage.directory.route_of`."""

    async def __call__(self, domain: str) -> Route | None:
        """Return the domain's own route."""


class Outbox(Protocol):
    """What publishes."""

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Publish soon; never fails."""


class Resolver(Protocol):
    """What releases need of DNS."""

    async def mx(self, domain: str) -> Answer[Exchange]:
        """Return the exchanges of ``domain``, best first."""

    async def addresses(self, host: str) -> Answer[str]:
        """Return the addresses of ``host``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """How much is released.

    Attributes:
        networks: Clients that may ask for any domain.
        pause: Between two releases for one domain; a client may ask for `MAX_DOMAINS` meanwhile.
        recipients: At most so many at once; the rest at the next request.
        at_once: Releases at the same time in this process.
    """

    networks: Networks = NOWHERE
    pause: timedelta = timedelta(minutes=1)
    recipients: int = 1000
    at_once: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What releases are made with; see the protocols."""

    release: Release
    route: FindRoute
    resolver: Resolver
    outbox: Outbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Where requests and releases are counted.

    Attributes:
        buckets: By default of this process alone.
        name: Returns what stands for a client; empty if it is not counted.
        ask: Returns when it is known what other pods have counted; by default there are none.
    """

    buckets: Buckets = field(default_factory=Buckets)
    name: Callable[[str], str] = USUAL.network_of
    ask: Callable[[], Awaitable[None]] | None = None


class Releases:
    """Carries out ETRN for all sessions."""

    def __init__(self, means: Means, measure: Measure, pace: Pace) -> None:
        self._means = means
        self._measure = measure
        self._pace = pace
        self._places = asyncio.Semaphore(measure.at_once)
        self._of_client = Rate(MAX_DOMAINS, measure.pause)
        self._of_domain = Rate(1, measure.pause)

    async def release(self, domain: str, client: str, *, below: bool) -> Reply:
        """Publish what waits for ``domain`` if ``client`` may ask for it."""
        if self._places.locked() or not self._may_try(client):
            return self._answer("too often", f"458 4.7.1 Unable to queue messages for {domain} now")
        async with self._places:
            try:
                if not await self._may_ask(domain, client):
                    return self._answer("not allowed", f"459 4.7.1 Node {domain} not allowed")
                return await self._released(domain, below=below)
            except Unavailable as trouble:
                log.warning("nothing released", domain=domain, reason=str(trouble))
                return self._answer("unavailable", f"458 4.3.0 No answer about {domain} now")

    async def _released(self, domain: str, *, below: bool) -> Reply:
        if await self._was_served(domain):
            return self._answer("too often", f"458 4.7.1 Node {domain} was served just now")
        found = await self._means.release(domain, below=below, limit=self._measure.recipients)
        if not found:
            return self._answer("nothing", f"251 2.0.0 Ok, no messages waiting for node {domain}")
        self._pace.buckets.add((domain, WHAT), self._of_domain)
        await self._means.outbox.publish([structs.replace(each, on_request=True) for each in found])
        _RELEASED.inc(len(found))
        log.info("mail released", domain=domain, envelopes=len(found))
        return self._answer(
            "released", f"253 2.0.0 Ok, {len(found)} pending messages for node {domain} started"
        )

    def _may_try(self, client: str) -> bool:
        """Count a request of ``client``; False if it is one too many."""
        name = self._pace.name(client)
        return not name or self._pace.buckets.take((name, WHAT), self._of_client)

    async def _was_served(self, domain: str) -> bool:
        """True if some pod has released mail for ``domain`` just now."""
        key = (domain, WHAT)
        is_served = not self._pace.buckets.has_room(key, self._of_domain)
        if is_served or self._pace.ask is None:
            return is_served
        await self._pace.ask()
        return not self._pace.buckets.has_room(key, self._of_domain)

    @staticmethod
    def _answer(outcome: str, text: str) -> Reply:
        _ASKED.labels(outcome).inc()
        return say(text)

    async def _may_ask(self, domain: str, client: str) -> bool:
        """Look whether ``client`` is a server of ``domain``; `Unavailable` if DNS does not tell."""
        if client in self._measure.networks:
            return True
        asking = _plain(client)
        route = await self._means.route(domain)
        hosts = await self._hosts(route, domain)
        answers = await asyncio.gather(*map(self._addresses, hosts))
        known = [each for answer in answers if isinstance(answer, Found) for each in answer.records]
        if asking and asking in map(_plain, known):
            return True
        _refuse_silence(*answers)
        return False

    async def _hosts(self, route: Route | None, domain: str) -> tuple[str, ...]:
        """Return the servers of ``domain``: those of its route, or its MX."""
        if route is None or route.hops[0].kind is Kind.DIRECT:
            return await self._exchanges(domain)
        found = [
            await self._exchanges(hop.host) if hop.kind is Kind.MX else (hop.host,)
            for hop in route.hops[:MAX_HOSTS]
            if hop.host
        ]
        return tuple(chain.from_iterable(found))[:MAX_HOSTS]

    async def _exchanges(self, domain: str) -> tuple[str, ...]:
        answer = await self._means.resolver.mx(domain)
        _refuse_silence(answer)
        if isinstance(answer, Found):
            return tuple(exchange.host for exchange in answer.records if exchange.host)[:MAX_HOSTS]
        return (domain,)  # RFC 5321 §5.1: the implicit MX

    async def _addresses(self, host: str) -> Answer[str]:
        literal = _plain(host.strip("[]"))
        return Found((literal,)) if literal else await self._means.resolver.addresses(host)


def _refuse_silence(*answers: Found[str] | Found[Exchange] | Empty | Temporary) -> None:
    for answer in answers:
        if isinstance(answer, Temporary):
            raise Unavailable("DNS gave no answer", detail=answer.why)


def _plain(text: str) -> str:
    """Return an IP address in its shortest form, that of IPv4 where it is one; empty for others."""
    try:
        address = ip_address(text)
    except ValueError:
        return ""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)
