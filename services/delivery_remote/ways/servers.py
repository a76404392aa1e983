"""Servers as DNS tells them: of a domain by MX records, of a name by its addresses (RFC 5321 §5.1)."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias

from delivery_remote.routes import (
    BACK_TO_US,
    NO_ANSWER,
    NO_LITERALS,
    NO_SERVER,
    NO_SUCH_DOMAIN,
    UNREACHABLE,
    NoWay,
    Plan,
    Target,
)
from delivery_remote.trouble import Later, Never
from delivery_remote.ways.exchanges import Families, Ours, arranged, choose, without_us
from posthouse.mail.answers import Empty, Exchange, Found, Temporary
from posthouse.mail.patterns import literal_address
from posthouse.resolver import Resolver

MAX_TARGETS = 12  # addresses tried for one attempt

Addresses: TypeAlias = Found[str] | Empty | Temporary


@dataclass(frozen=True, slots=True, kw_only=True)
class Customs:
    """How this house goes about the servers of others.

    Attributes:
        ours: Servers that are this house itself.
        port: Of servers found by MX.
        families: Which addresses are tried, and in which order.
        literals: Mail goes to address literals, too (RFC 5321 §4.1.3).
    """

    ours: Ours = field(default_factory=Ours)
    port: int = 25
    families: Families = Families.BOTH
    literals: bool = True


class Servers:
    """Asks DNS, by the customs of the house."""

    def __init__(self, resolver: Resolver, customs: Customs) -> None:
        self._resolver = resolver
        self._customs = customs

    async def of_domain(self, domain: str, port: int = 0) -> Plan | NoWay:
        """Return the way to ``domain``, a name or a literal; at ``port`` or that of the customs."""
        port = port or self._customs.port
        if domain.startswith("["):
            return self._of_literal(domain, port)
        return await self._by_mx(domain, port)

    async def of_name(self, host: str, port: int) -> tuple[Target, ...] | Later:
        """Return the addresses of the server that an operator has named."""
        answer = await self._addresses(host)
        targets = self._targets(host, answer, port)
        if not targets:  # a mistake of ours bounces no mail
            return Later(NO_ANSWER, "the next hop's name has no address now")
        return targets

    async def _by_mx(self, domain: str, port: int) -> Plan | NoWay:
        answer = await self._resolver.mx(domain)
        if isinstance(answer, Temporary):
            return _unanswered(answer)
        if isinstance(answer, Empty):  # RFC 5321 §5.1: the implicit MX
            implicit = [Exchange(0, domain)]
            return (
                await self._of_exchanges(domain, implicit, port)
                if answer.exists
                else NO_SUCH_DOMAIN
            )
        chosen = choose(answer.records, self._customs.ours)
        if isinstance(chosen, Never):
            return chosen
        plan = await self._of_exchanges(domain, chosen, port)
        return plan.by_mx(proved=answer.authentic) if isinstance(plan, Plan) else plan

    def _of_literal(self, domain: str, port: int) -> Plan | NoWay:
        """An address literal is its own server (RFC 5321 §4.1.3)."""
        address = literal_address(domain)
        if address is None:
            return NO_SUCH_DOMAIN
        if not self._customs.literals:
            return NO_LITERALS
        if self._customs.ours.is_at([address]):
            return BACK_TO_US
        if not arranged([address], self._customs.families):
            return UNREACHABLE
        return Plan(domain, (Target(host=domain, address=address, port=port),), certain=True)

    async def _of_exchanges(
        self, domain: str, exchanges: Sequence[Exchange], port: int
    ) -> Plan | NoWay:
        if all(each.host in self._customs.ours.names for each in exchanges):
            return BACK_TO_US
        hosts = [each.host for each in exchanges]
        answers = dict(zip(hosts, await asyncio.gather(*map(self._addresses, hosts)), strict=True))
        others = without_us(exchanges, _all_addresses(answers), self._customs.ours)
        if not others:
            return BACK_TO_US
        targets = [
            target
            for each in others
            for target in self._targets(each.host, answers[each.host], port, domain)
        ]
        if targets:
            return Plan(domain, tuple(targets[:MAX_TARGETS]), certain=True)
        return _no_way([answers[each.host] for each in others])

    def _targets(
        self, host: str, answer: Addresses, port: int, domain: str = ""
    ) -> tuple[Target, ...]:
        if not isinstance(answer, Found):
            return ()
        return tuple(
            Target(host=host, address=address, port=port, domain=domain, proved=answer.authentic)
            for address in arranged(answer.records, self._customs.families)
        )

    async def _addresses(self, host: str) -> Addresses:
        address = _address(host)
        return Found((address,)) if address else await self._resolver.addresses(host)


@lru_cache(maxsize=4096)
def _address(host: str) -> str:
    """Return the address that stands where a name would, in its one spelling; empty for a name."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return ""


def _all_addresses(answers: Mapping[str, Addresses]) -> dict[str, Sequence[str]]:
    """Return also those that the customs do not let us try: one of them may be ours."""
    return {host: each.records for host, each in answers.items() if isinstance(each, Found)}


def _no_way(answers: Sequence[Addresses]) -> NoWay:
    """None of a domain's servers has an address that we may try; nobody could tell, or for ever."""
    for answer in answers:
        if isinstance(answer, Temporary):
            return _unanswered(answer)
    return UNREACHABLE if any(isinstance(each, Found) for each in answers) else NO_SERVER


def _unanswered(answer: Temporary) -> Later:
    return Later(NO_ANSWER, f"DNS gave no answer: {answer.why}")
