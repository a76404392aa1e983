"""All next hops of this process: finds their sites, lends sessions, closes what is idle, forgets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import blake2b
from types import TracebackType

from delivery_remote.next_hop import Destination, Limits
from delivery_remote.pace import Hall, Shape, Shaping, Site
from delivery_remote.routes import Plan, Target
from delivery_remote.session import Manners, Refused, Session, open_session
from delivery_remote.transcript import Lost, Stage
from posthouse.telemetry.metrics import counter, gauge

SWEEP_SECONDS = 1.0
FORGET_SECONDS = 3600.0  # what is known of a destination is kept this long after its last use
MAX_NAME = 250  # characters; a longer one ends in a hash
MAX_KNOWN = 20_000  # destinations; above it those of no use at the moment are forgotten at once
TOO_LATE = Lost("the session did not come about in time")

_known = gauge("posthouse_remote_destinations", "Next hops we remember something of")
_resting = gauge("posthouse_remote_destinations_resting", "Next hops that are not asked now")
_paused = gauge("posthouse_remote_sites_paused", "Sites that said: not now")
_reused = counter("posthouse_remote_sessions_reused_total", "Transactions on a session kept open")


class Destinations:
    """All next hops of this process; use it as a context manager around the consumers."""

    def __init__(
        self,
        manners: Manners,
        limits: Limits,
        shaping: Shaping | None = None,
        hall: Hall | None = None,
    ) -> None:
        self.manners = manners
        self.limits = limits
        self.hall = hall or Hall()
        self.hall.places = limits.waiting
        self._shaping = shaping or Shaping()
        self._table: dict[str, Destination] = {}
        self._tasks = asyncio.TaskGroup()
        self._kept = 0  # sessions kept open, counted at each sweep and never too low between them

    async def __aenter__(self) -> Destinations:
        await self._tasks.__aenter__()
        self._sweeper = self._tasks.create_task(self._sweep(), name="sweep destinations")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._sweeper.cancel()
        for site in self.hall.sites.values():
            for session in site.kept.outdated(float("inf")):
                self._part(session)
        await self._tasks.__aexit__(kind, raised, traceback)

    def of(self, plan: Plan, pool: str = "") -> Destination:
        """Return the destination of ``plan``: domains with the same servers have the same one.

        What they think of one ``pool`` of source addresses is nothing to mail from another.
        """
        hosts = sorted({target.host for target in plan.targets})
        shape = self._shaping.of(hosts)
        ours = f" from {pool}" if pool else ""
        if not all(target.domain for target in plan.targets):  # an operator chose it
            name = f"{plan.destination}{ours}"
            return self._get(name, name, shape)
        name = _name(hosts)
        return self._get(f"{name}{ours}", f"{shape.name or name}{ours}", shape)

    def get(self, name: str) -> Destination:
        """Return the destination ``name``, which has no servers to look at."""
        return self._get(name, name, self._shaping.default)

    def _get(self, name: str, site: str, shape: Shape) -> Destination:
        destination = self._table.get(name)
        if destination is None:
            destination = Destination(name, self.limits, self.hall.site(site, shape))
            self._table[name] = destination
        destination.touch()
        return destination

    @asynccontextmanager
    async def session(
        self, destination: Destination, target: Target, until: float
    ) -> AsyncIterator[Session]:
        """Lend a session with ``target``: a kept one, or one that is opened ``until`` then.

        Raises:
            Refused: No session came about.
        """
        session = destination.site.kept.take(target)
        if session is None:
            session = await self._open(destination, target, until)
        else:
            _reused.inc()
        try:
            yield session
        finally:
            self._give_back(destination.site, session)

    async def _open(self, destination: Destination, target: Target, until: float) -> Session:
        site = destination.site
        while site.kept and site.active + len(site.kept) > site.share:
            self._part(site.kept.oldest())  # it counts the unused ones, too
        site.count_session()
        plain = destination.is_plain(target)
        try:
            async with asyncio.timeout(until - time.monotonic()):  # each reply may take minutes
                session = await open_session(target, self.manners, plain=plain)
        except TimeoutError:
            raise Refused(Stage.CONNECT, TOO_LATE) from None
        if session.has_failed_tls:
            destination.remember_plain(target)
        return session

    def _give_back(self, site: Site, session: Session) -> None:
        is_spent = (
            session.served >= site.shape.transactions
            or time.monotonic() - session.opened > self.limits.lifetime.total_seconds()
            or self._kept >= self.limits.idle_sessions
        )
        if session.is_usable and not is_spent:
            site.kept.keep(session, self.hall.clock())
            self._kept += 1
        else:
            self._part(session)

    def _part(self, session: Session) -> None:
        """Say goodbye without letting anybody wait for it."""
        if session.is_usable:
            self._tasks.create_task(session.quit(), name="say goodbye")
        else:
            session.abort()

    async def _sweep(self) -> None:
        """Close what is idle and forget what is unused, for ever."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.sweep()

    def sweep(self) -> None:
        """Close sessions that are idle for too long; forget what is unused."""
        oldest = self.hall.clock() - self.limits.idle.total_seconds()
        for site in self.hall.sites.values():
            for session in site.kept.outdated(oldest):
                self._part(session)
        bound = FORGET_SECONDS if len(self._table) <= MAX_KNOWN else 0.0
        self._table = {
            name: destination
            for name, destination in self._table.items()
            if destination.unused() <= bound
        }
        self.hall.forget(bound, {destination.site.name for destination in self._table.values()})
        self._kept = sum(len(site.kept) for site in self.hall.sites.values())
        _known.set(len(self._table))
        _resting.set(sum(1 for each in self._table.values() if each.resting()))
        _paused.set(sum(1 for site in self.hall.sites.values() if site.paused() > 0))


def _name(hosts: Sequence[str]) -> str:
    """Return what stands for a set of servers, of bounded length."""
    name = ",".join(hosts)
    if len(name) <= MAX_NAME:
        return name
    digest = blake2b(name.encode(), digest_size=8).hexdigest()
    return f"{hosts[0][:MAX_NAME]},+{len(hosts) - 1}.{digest}"
