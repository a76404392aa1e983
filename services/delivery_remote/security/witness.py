"""How sessions went, counted for reports on TLS (RFC 8460)."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from functools import partial

from delivery_remote.security.proofs import Demand, Policy
from posthouse.mail.tls_words import Fault
from posthouse.runtime.tally import Tally
from posthouse.storage.pool import Pool
from posthouse.storage.tls_results import Result, add_results
from posthouse.telemetry.metrics import counter
from posthouse.telemetry.outages import Outage

EVERY = timedelta(seconds=30)

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


class Witness(Tally[Result]):
    """Counts the sessions of this process."""

    def __init__(self, pool: Pool, every: timedelta = EVERY) -> None:
        super().__init__(
            partial(add_results, pool),
            every,
            outage=Outage("results of sessions kept", "results of sessions written again"),
            drop=_dropped.inc,
        )

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
        self.add(result)


def _public(source: str) -> str:
    """Return ``source`` if others see the same; a private address becomes another on its way (NAT)."""
    try:
        return source if ipaddress.ip_address(source).is_global else ""
    except ValueError:  # of a socket
        return ""
