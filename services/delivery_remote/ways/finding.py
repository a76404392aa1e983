"""Finding the way of one mail: an operator's routes and relays, else MX (RFC 5321 §5.1).

`Ways.plan` answers with the servers in the order in which they are asked, or a folder, or that the
way is closed for now, or that there is none: for ever (no such domain, null MX, the way leads back
to us) or for now. What an operator has set wrongly never makes mail bounce.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from delivery_remote.routes import (
    NO_ANSWER,
    Folder,
    Login,
    NoWay,
    Plan,
    Target,
    Tls,
    Way,
)
from delivery_remote.trouble import Later
from delivery_remote.ways.closing import closed
from delivery_remote.ways.exchanges import ranked
from delivery_remote.ways.servers import MAX_TARGETS, Customs, Servers
from posthouse.mail.hops import FOLDERS, BadHop, Hop, Kind, parse_hop
from posthouse.resolver import Resolver
from posthouse.storage.directory import Relay, Route, Table, relays, routes, ways_fingerprint
from posthouse.storage.pool import Pool

TABLE_FRESH = timedelta(seconds=3)  # a change by an operator is seen after this time
SUBMISSIONS_PORT = 465  # RFC 8314 §3.3: TLS from the first octet


class Ways:
    """Finds ways; with what operators have set at hand for some seconds."""

    def __init__(self, pool: Pool, resolver: Resolver, customs: Customs) -> None:
        self._pool = pool
        self._servers = Servers(resolver, customs)
        self._table = Table()
        self._seen: str | None = None  # the fingerprint of the table
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def plan(
        self, domain: str, sender: str = "", *, on_request: bool = False, via: str = ""
    ) -> Way:
        """Return the way of a mail from ``sender`` to ``domain``.

        Args:
            domain: A name or an address literal.
            sender: Its reverse path; empty for the null path.
            on_request: Somebody has asked for this mail: it goes also where mail is held.
            via: The next hop that an operator chose for it, whatever there is else.

        Raises:
            Unavailable: Our own directory does not answer.
        """
        try:
            chosen = Route(domain=domain, hops=(parse_hop(via),)) if via else None
        except BadHop as wrong:
            return Later(NO_ANSWER, f"not a next hop: {via}: {wrong}")
        entry = chosen or (await self._read()).find(domain, sender)
        shut = None if on_request else closed(entry, datetime.now(UTC))
        if shut is not None:
            return shut
        if entry is None or entry.hops[0].kind is Kind.DIRECT:
            return await self._servers.of_domain(domain)
        if entry.hops[0].kind in FOLDERS:
            return Folder(entry.hops[0])
        return await self._by_hops(entry)

    async def _read(self) -> Table:
        if self._is_fresh():
            return self._table
        async with self._reading:
            if not self._is_fresh():
                seen = await ways_fingerprint(self._pool)
                if seen != self._seen:
                    self._table = Table(await routes(self._pool), await relays(self._pool))
                self._seen, self._read_at = seen, time.monotonic()
            return self._table

    def _is_fresh(self) -> bool:
        return time.monotonic() - self._read_at <= TABLE_FRESH.total_seconds()

    async def _by_hops(self, entry: Route | Relay) -> Plan | NoWay:
        """Put the servers of all next hops together; those that have none now are left out."""
        hops = ranked(entry.hops)
        if len(hops) == 1:  # nearly always: spare a task
            found = [await self._by_hop(hops[0])]
        else:
            found = await asyncio.gather(*map(self._by_hop, hops))
        plans = [each for each in found if isinstance(each, Plan)]
        if not plans:
            return next(each for each in found if isinstance(each, Later))
        share = max(
            1, MAX_TARGETS // len(plans)
        )  # a name with many addresses leaves some to others
        login = Login(entry.username, entry.password or "") if entry.username else None
        return Plan(
            _destination(hops),
            tuple(_as_set(target, login) for plan in plans for target in plan.targets[:share]),
            all(plan.certain for plan in plans),
        )

    async def _by_hop(self, hop: Hop) -> Plan | Later:
        if hop.path:
            target = Target(host=hop.path, address=hop.path, port=0, lmtp=True)
            return Plan(str(hop), (target,), certain=True)
        if hop.kind is Kind.MX:
            plan = await self._servers.of_domain(hop.host, hop.port)
            return plan if isinstance(plan, Plan) else Later(NO_ANSWER, f"next hop: {plan.reply}")
        targets = await self._servers.of_name(hop.host, hop.port)
        if isinstance(targets, Later):
            return targets
        if hop.kind is Kind.LMTP:
            targets = tuple(replace(each, lmtp=True) for each in targets)
        return Plan(str(hop), tuple(targets), certain=True)


def _as_set(target: Target, login: Login | None) -> Target:
    """Return ``target`` with the login of its route, and TLS as that or the port demands."""
    tls = Tls.REQUIRED if login else Tls.OPPORTUNISTIC
    if target.port == SUBMISSIONS_PORT:
        tls = Tls.IMPLICIT
    if (target.tls, target.login) == (tls, login):
        return target
    return replace(target, tls=tls, login=login)


def _destination(hops: Iterable[Hop]) -> str:
    """Name the destination by its servers, however they rank; mail to one of them shares it."""
    return ",".join(sorted(map(_server, hops)))


@lru_cache(maxsize=1024)
def _server(hop: Hop) -> str:
    return str(replace(hop, preference=0, weight=1)).removeprefix("smtp:")
