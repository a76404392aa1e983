"""Where a domain's mail goes: a route of ours, or its MX records (RFC 5321 §5.1).

`plan` answers with a `Plan`, the servers in the order in which they are asked, or with the verdict
that there is no way: for ever (no such domain, null MX, the way leads back to us) or for now.
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum
from itertools import zip_longest

from delivery_remote.security.proofs import MAY, Demand
from delivery_remote.trouble import Later, Never
from posthouse.mail.status import LOOP, Status
from posthouse.resolver import Empty, Exchange, Found, Resolver, Temporary
from posthouse.storage.directory import SMARTHOST, Route, routes
from posthouse.storage.pool import Pool

ROUTES_FRESH = timedelta(seconds=3)  # a change by an operator is seen after this time
MAX_EXCHANGES = 12  # names looked up for one attempt
MAX_TARGETS = 12  # addresses tried for one attempt
SUBMISSIONS_PORT = 465  # RFC 8314 §3.3: TLS from the first octet

NO_ANSWER = Status(451, (4, 4, 3))  # RFC 3463 §3.5: directory server failure
NULL_MX = Never(Status(556, (5, 1, 10)), "the domain accepts no mail (null MX)")  # RFC 7505 §5
NO_SUCH_DOMAIN = Never(Status(550, (5, 1, 2)), "there is no such domain")  # RFC 3463 §3.2
NO_SERVER = Never(Status(550, (5, 4, 4)), "the domain has no mail server")  # RFC 3463 §3.5
BACK_TO_US = Never(LOOP, "mail for the domain loops back to this server")


class Tls(Enum):
    """What a session must be like."""

    NONE = "none"  # plain text, also where TLS is offered
    OPPORTUNISTIC = "opportunistic"  # RFC 7435: encrypted if it can be, to anybody
    REQUIRED = "required"  # STARTTLS, with a server that proves who it is (`Demand.proof`)
    IMPLICIT = "implicit"  # likewise, from the first octet


@dataclass(frozen=True, slots=True)
class Login:
    """How to log in at a smarthost; never shown."""

    username: str
    password: str

    def __repr__(self) -> str:
        return "Login(***)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One address of one server.

    Attributes:
        host: Its name, for SNI, reports and the ledger.
        address: The IP address to connect to.
        port: The TCP port.
        tls: What the session must be like.
        login: How to log in; None where nobody asks.
        domain: Whose MX records named it, or whose own name it is; empty if an operator chose it.
        demand: What its sessions must be like beside that, and why.
    """

    host: str
    address: str
    port: int
    tls: Tls = Tls.OPPORTUNISTIC
    login: Login | None = None
    domain: str = ""
    demand: Demand = MAY

    def __str__(self) -> str:
        return f"{self.host} [{self.address}]"


@dataclass(frozen=True, slots=True)
class Plan:
    """The servers of one destination, best first.

    Attributes:
        destination: Names it: what shares connections, limits and back-off.
        targets: Never empty.
        certain: Nobody between us and the domain can have chosen the servers: an operator did, or
            DNSSEC proves the MX records, or there are none and the name is the domain itself.
        relaxed: The servers as they are for a mail whose sender waives TLS (RFC 8689 §3), if that
            makes a difference.
    """

    destination: str
    targets: tuple[Target, ...]
    certain: bool = False
    relaxed: tuple[Target, ...] = ()

    def encrypted(self) -> Plan:
        """Return the same plan, where each session is TLS with a certificate that fits."""
        targets = tuple(
            replace(each, tls=Tls.REQUIRED) if each.tls is Tls.OPPORTUNISTIC else each
            for each in self.targets
        )
        return replace(self, targets=targets)


NoWay = Never | Later
Shuffle = Callable[[list[Exchange]], None]


class Routes:
    """Plans; with the operator's routes at hand for some seconds."""

    def __init__(self, pool: Pool, resolver: Resolver, hostname: str, *, port: int = 25) -> None:
        self._pool = pool
        self._resolver = resolver
        self._own = hostname.lower()
        self._port = port
        self._table: dict[str, Route] = {}
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def plan(self, domain: str) -> Plan | NoWay:
        """Return the way to ``domain``; `Unavailable` if our own directory does not answer."""
        table = await self._routes()
        route = table.get(domain) or table.get(SMARTHOST)
        if route is not None:
            return await self._by_route(route)
        if domain.startswith("["):
            return self._by_literal(domain)
        return await self._by_mx(domain)

    async def _routes(self) -> dict[str, Route]:
        async with self._reading:
            if time.monotonic() - self._read_at > ROUTES_FRESH.total_seconds():
                self._table = {route.domain: route for route in await routes(self._pool)}
                self._read_at = time.monotonic()
            return self._table

    async def _by_route(self, route: Route) -> Plan | NoWay:
        host = route.host.strip("[]").lower()
        found = await self._addresses(host)
        if not isinstance(found, Found):  # an operator's mistake must not bounce mail
            return Later(NO_ANSWER, "the next hop's name has no address now")
        login = Login(route.username, route.password or "") if route.username else None
        tls = Tls.REQUIRED if login else Tls.OPPORTUNISTIC
        if route.port == SUBMISSIONS_PORT:
            tls = Tls.IMPLICIT
        targets = (
            Target(host=host, address=address, port=route.port, tls=tls, login=login)
            for address in found.records[:MAX_TARGETS]
        )
        return Plan(f"{host}:{route.port}", tuple(targets), certain=True)

    def _by_literal(self, domain: str) -> Plan | NoWay:
        """An address literal is its own server (RFC 5321 §4.1.3)."""
        text = domain.strip("[]").removeprefix("ipv6:").removeprefix("IPv6:")
        try:
            address = str(ipaddress.ip_address(text))
        except ValueError:
            return NO_SUCH_DOMAIN
        target = Target(host=domain, address=address, port=self._port)
        return Plan(domain, (target,), certain=True)

    async def _by_mx(self, domain: str) -> Plan | NoWay:
        answer = await self._resolver.mx(domain)
        if isinstance(answer, Temporary):
            return Later(NO_ANSWER, f"DNS gave no answer: {answer.why}")
        if isinstance(answer, Empty):
            if not answer.exists:
                return NO_SUCH_DOMAIN
            # RFC 5321 §5.1: the implicit MX
            return await self._plan_of(domain, (domain,), certain=True)
        hosts = choose(answer.records, self._own)
        if isinstance(hosts, Never):
            return hosts
        return await self._plan_of(domain, hosts, certain=answer.authentic)

    async def _plan_of(self, domain: str, hosts: Sequence[str], *, certain: bool) -> Plan | NoWay:
        if tuple(hosts) == (self._own,):
            return BACK_TO_US
        answers = await asyncio.gather(*map(self._addresses, hosts))
        targets = tuple(
            Target(host=host, address=address, port=self._port)
            for host, answer in zip(hosts, answers, strict=True)
            if isinstance(answer, Found)
            for address in interleave(answer.records)
        )
        if targets:
            return Plan(domain, targets[:MAX_TARGETS], certain)
        for answer in answers:
            if isinstance(answer, Temporary):
                return Later(NO_ANSWER, f"DNS gave no answer: {answer.why}")
        return NO_SERVER

    async def _addresses(self, host: str) -> Found[str] | Empty | Temporary:
        try:
            return Found((str(ipaddress.ip_address(host)),))
        except ValueError:
            return await self._resolver.addresses(host)


def choose(
    records: Iterable[Exchange], own: str, shuffle: Shuffle = random.shuffle
) -> tuple[str, ...] | Never:
    """Return the hosts to ask, best first, equals in random order (RFC 5321 §5.1).

    If we are one of them, we and all that are not better are left out, or mail would circle.
    """
    usable = [record for record in records if record.host]
    if not usable:
        return NULL_MX
    ours = [record.preference for record in usable if record.host == own]
    better = [record for record in usable if not ours or record.preference < min(ours)]
    if not better:
        return BACK_TO_US
    shuffle(better)
    better.sort(key=lambda record: record.preference)
    return tuple(dict.fromkeys(record.host for record in better))[:MAX_EXCHANGES]


def interleave(addresses: Sequence[str]) -> tuple[str, ...]:
    """Return IPv6 and IPv4 in turn, so that a broken family costs one attempt (RFC 5321 §5.2)."""
    six = [address for address in addresses if ":" in address]
    four = [address for address in addresses if ":" not in address]
    pairs = zip_longest(six, four)
    return tuple(address for pair in pairs for address in pair if address is not None)
