"""How sessions went, counted here and added to PostgreSQL every now and then (RFC 8460).

What is counted never gets in the way of delivery: while PostgreSQL is away it waits, bounded.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import TracebackType

from delivery_remote.security.proofs import Demand, Policy
from posthouse.mail.errors import Unavailable
from posthouse.mail.tls_words import Fault
from posthouse.runtime.duties import Duties
from posthouse.storage.pool import Pool
from posthouse.storage.tls_results import Key, Result, add_results
from posthouse.telemetry.metrics import counter
from posthouse.telemetry.outages import Outage

EVERY = timedelta(seconds=30)
MAX_KINDS = 20_000  # that wait here; more are not counted
BATCH = 500
FLUSH_AT_END = timedelta(seconds=5)

_sessions = counter(
    "posthouse_remote_tls_total",
    "Sessions with servers outside, by the TLS policy that counted and how they failed it",
    "policy",
    "result",
)
_dropped = counter(
    "posthouse_remote_tls_results_dropped_total",
    "Results of sessions that no report will know, because PostgreSQL was away for long",
)


class Witness:
    """Counts the sessions of this process; use it as a context manager around the consumers."""

    def __init__(self, pool: Pool, every: timedelta = EVERY) -> None:
        self._pool = pool
        self._every = every
        self._counts: dict[Key, Result] = {}
        self._duties = Duties()
        self._outage = Outage("results of sessions kept", "results of sessions written again")

    async def __aenter__(self) -> Witness:
        await self._duties.begin(self._keep_writing())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self._duties.end(kind, raised, traceback)
        finally:
            with suppress(Unavailable, TimeoutError):
                async with asyncio.timeout(FLUSH_AT_END.total_seconds()):
                    await self.flush()

    def saw(
        self, host: str, address: str, demand: Demand, fault: Fault | None, *, source: str = ""
    ) -> None:
        """Count one session with ``host`` from ``source``: what was wrong with it, or None."""
        _sessions.labels(demand.name, fault.failure.value if fault else "secured").inc()
        where = (host, address, _public(source)) if fault is not None else ()
        self._count(demand.policy, fault, *where)

    def complain(self, policy: Policy, fault: Fault) -> None:
        """Count a policy that could not be had."""
        _sessions.labels("MTA-STS", fault.failure.value).inc()
        self._count(policy, fault)

    def _count(
        self,
        policy: Policy,
        fault: Fault | None,
        host: str = "",
        address: str = "",
        source: str = "",
    ) -> None:
        if not policy.domain:
            return
        result = Result(
            day=datetime.now(UTC).date(),
            domain=policy.domain,
            kind=policy.kind,
            failure=fault.failure.value if fault else "",
            host=host,
            address=address,
            source=source,
            why=fault.why if fault else "",
            policy=policy.lines,
        )
        self._add([result])

    def _add(self, results: Iterable[Result]) -> None:
        for result in results:
            before = self._counts.get(result.key)
            if before is None and len(self._counts) >= MAX_KINDS:
                _dropped.inc(result.sessions)
                continue
            count = result.sessions + (before.sessions if before else 0)
            self._counts[result.key] = replace(result, sessions=count)

    async def flush(self) -> None:
        """Write what was counted; `Unavailable` if that is not possible now: it is kept."""
        while self._counts:
            taken = [self._counts.pop(key) for key in list(self._counts)[:BATCH]]
            try:
                await add_results(self._pool, taken)
            except BaseException:  # also when cancelled: written twice is better than never
                self._add(taken)
                raise

    async def _keep_writing(self) -> None:
        while True:
            await asyncio.sleep(self._every.total_seconds())
            try:
                await self.flush()
            except Unavailable as trouble:
                self._outage.away(str(trouble))
            else:
                self._outage.over()


def _public(source: str) -> str:
    """Return ``source`` if others see the same; a private address becomes another on its way (NAT)."""
    try:
        return source if ipaddress.ip_address(source).is_global else ""
    except ValueError:  # of a socket
        return ""
