"""The security of a way: what each server must prove, from all that is known of it.

    plan ─▶ operators' policies ─▶ MTA-STS of the domain ─▶ DANE of each server ─▶ plan with demands

What demands nothing costs a look into memory. A server that a policy excludes stays in the plan with
an objection: it is not talked to, and the log, the ledger and the report say why.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Protocol

from delivery_remote.routes import Plan, Target, Tls
from delivery_remote.security.proofs import Demand
from delivery_remote.security.sts import StsPolicy
from delivery_remote.security.tls_policy import Dane, Evidence, decide, strictly, with_password
from delivery_remote.trouble import Never
from posthouse.mail.patterns import EVERYTHING, patterns_of
from posthouse.mail.status import Status
from posthouse.mail.tls_words import TlsPolicy
from posthouse.storage.directory.tls_policies import tls_policies
from posthouse.storage.pool import Pool

TABLE_FRESH = timedelta(seconds=3)  # a change by an operator is seen after this time
# RFC 8689 §4.2.1, step 2
UNCERTAIN = Never(
    Status(550, (5, 7, 30)),
    "REQUIRETLS support required: nothing proves which servers the domain has (DNSSEC, MTA-STS)",
)


class StsLookup(Protocol):
    """Knows MTA-STS policies."""

    async def of(self, domain: str) -> StsPolicy | None:
        """Return the policy of ``domain`` that counts now; `Unavailable` if nobody can tell."""
        ...


class DaneLookup(Protocol):
    """Knows TLSA records."""

    async def of(self, host: str, port: int) -> Dane:
        """Return the proved records of a server."""
        ...


@dataclass(slots=True)
class Guard:
    """Says what sessions must be like.

    Attributes:
        pool: Where operators' policies are.
        sts: None: MTA-STS is not asked for.
        dane: None: nobody validates DNSSEC for us.
    """

    pool: Pool
    sts: StsLookup | None = None
    dane: DaneLookup | None = None
    _table: Mapping[str, TlsPolicy] = field(default_factory=dict)
    _read_at: float = float("-inf")
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def secured(self, plan: Plan, domain: str, *, secret: bool = False) -> Plan | Never:
        """Return ``plan`` with what its servers must prove.

        Args:
            plan: The way.
            domain: The recipients'.
            secret: The mail must not go without proved TLS (RFC 8689).

        Raises:
            Unavailable: PostgreSQL does not answer; somebody may demand something.
        """
        table = await self._policies()
        policies = await self._sts_of(plan)
        proven = [
            self._evidence(target, domain, table, policies.get(target.domain))
            for target in plan.targets
        ]
        if secret and not (plan.certain or all(each.proves_servers for each in proven)):
            return UNCERTAIN
        records = await self._dane_of(plan)
        found = [Known(*each) for each in zip(plan.targets, proven, records, strict=True)]
        targets = tuple(each.demanding(secret=secret) for each in found)
        relaxed = () if secret else _relaxed(found)
        return replace(plan, targets=targets, relaxed=relaxed)

    async def _policies(self) -> Mapping[str, TlsPolicy]:
        if time.monotonic() - self._read_at > TABLE_FRESH.total_seconds():
            async with self._reading:
                if time.monotonic() - self._read_at > TABLE_FRESH.total_seconds():
                    self._table = {each.domain: each for each in await tls_policies(self.pool)}
                    self._read_at = time.monotonic()
        return self._table

    async def _sts_of(self, plan: Plan) -> dict[str, StsPolicy | None]:
        """Return the policies of the domains that named the servers (RFC 8461 §3.4)."""
        if self.sts is None:
            return {}
        domains = {target.domain for target in plan.targets if target.domain}
        return {domain: await self.sts.of(domain) for domain in domains}

    @staticmethod
    def _evidence(
        target: Target, domain: str, table: Mapping[str, TlsPolicy], sts: StsPolicy | None
    ) -> Evidence:
        return Evidence(
            domain=target.domain,
            own=_own(domain, table) or _own(target.host, table),
            others=table.get(EVERYTHING),
            sts=sts,
        )

    async def _dane_of(self, plan: Plan) -> list[Dane]:
        """RFC 7672 §2.2.1: only where nobody can have forged the server's name."""
        if self.dane is None:
            return [None] * len(plan.targets)
        servers = {  # one that has several addresses is asked for once
            (each.host, each.port)
            for each in plan.targets
            if (plan.certain or each.proved) and not _has_no_name(each)
        }
        asked = {server: self.dane.of(*server) for server in servers}
        # Most have one name, which is remembered: a task for it would cost more than all the rest.
        answers = (
            await asyncio.gather(*asked.values())
            if len(asked) > 1
            else [await each for each in asked.values()]
        )
        found = dict(zip(asked, answers, strict=True))
        return [found.get((each.host, each.port)) for each in plan.targets]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one server."""

    target: Target
    evidence: Evidence
    dane: Dane

    @property
    def is_published(self) -> bool:
        """True if the destination itself demands something."""
        return self.dane is not None or self.evidence.sts is not None

    def demanding(self, *, secret: bool = False) -> Target:
        """Return the server with what is demanded of it."""
        return _with(self.target, decide(self.target.host, self.evidence, self.dane), secret=secret)

    def relaxed(self) -> Target:
        """Return it with what our operators demand alone; no report is made (RFC 8460 §3)."""
        evidence = replace(self.evidence, sts=None, domain="")
        dane = self.dane if evidence.wants_dane else None
        return _with(self.target, decide(self.target.host, evidence, dane))


def _relaxed(found: Sequence[Known]) -> tuple[Target, ...]:
    """Return the servers for a mail whose sender waives TLS (RFC 8689 §3); empty: the same."""
    if not any(each.is_published for each in found):
        return ()
    return tuple(each.relaxed() for each in found)


def _own(name: str, table: Mapping[str, TlsPolicy]) -> TlsPolicy | None:
    """Return the policy of the most specific pattern that fits ``name``, but for ``*``."""
    if not table:
        return None
    found = (table.get(pattern) for pattern in patterns_of(name)[:-1])
    return next(filter(None, found), None)


def _is_local(target: Target) -> bool:
    """True for a socket of this machine."""
    return target.address.startswith("/")


def _has_no_name(target: Target) -> bool:
    """True for a socket, and for an address that stands where a name would."""
    return _is_local(target) or target.host.strip("[]") == target.address


_TLS = {"never": Tls.NONE, "may": Tls.OPPORTUNISTIC, "must": Tls.REQUIRED}


def _with(target: Target, demand: Demand, *, secret: bool = False) -> Target:
    """Return ``target`` with what is demanded of it; what its route demands stays."""
    if _is_local(target) and not secret:
        return target
    if target.login is not None:
        demand = with_password(demand)
    if secret:
        demand = strictly(demand)
    tls = target.tls if target.tls is Tls.IMPLICIT else _TLS[demand.when]
    return replace(target, tls=tls, demand=demand)
