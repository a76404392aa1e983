"""From which address of ours a mail leaves, and under which name.

A pool's addresses are asked in the order of the mail's hash (`posthouse.mail.sources`): those of
the server's family, that this machine has, whose budget of the day is not used up. If there is
none the mail waits: it never leaves from an address that nobody chose for it.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

from delivery_remote.routes import Target
from delivery_remote.session import Refused
from delivery_remote.transcript import Reply, Stage
from posthouse.mail.rates import Buckets
from posthouse.mail.sources import MACHINE, Source, pool_of, ranked
from posthouse.storage.directory.sources import source_uses, sources
from posthouse.storage.pool import Pool
from posthouse.telemetry.metrics import counter

TABLE_FRESH = timedelta(seconds=3)  # a change by an operator is seen after this time
HERE_SECONDS = 60.0  # how long it is believed that this machine has an address, or has not
SENT = "messages"

NO_FAMILY = Reply(451, "4.3.5 none of the source addresses can reach the server's family")
NOT_HERE = Reply(451, "4.3.5 none of the source addresses is on this machine")
USED_UP = Reply(451, "4.4.5 the source addresses have sent what they may for now")

_refused = counter(
    "posthouse_remote_source_refusals_total", "Mails that no source address could take", "why"
)


def today() -> date:
    """Return the day by UTC."""
    return datetime.now(UTC).date()


@dataclass(slots=True)
class Presence:
    """Which addresses this machine has: those that can be bound."""

    _known: dict[str, tuple[float, bool]] = field(default_factory=dict)

    def has(self, address: str) -> bool:
        """True if mail can leave from ``address`` here."""
        since, is_here = self._known.get(address, (float("-inf"), False))
        if time.monotonic() - since > HERE_SECONDS:
            is_here = _can_bind(address)
            self._known[address] = (time.monotonic(), is_here)
        return is_here


def _can_bind(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.bind((address, 0))
    except OSError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Exits:
    """The sources of one mail.

    Attributes:
        pool: Its pool; empty if nobody chose one for it, and it leaves as the machine sends it.
        sources: In the order in which they are asked.
        buckets: Where recipients are counted.
        presence: Which addresses this machine has.
        day: Says what day it is.
    """

    pool: str = ""
    sources: tuple[Source, ...] = ()
    buckets: Buckets = field(default_factory=Buckets)
    presence: Presence = field(default_factory=Presence)
    day: Callable[[], date] = today

    def take(self, target: Target, recipients: int = 1) -> Target:
        """Return ``target`` as it is reached from one of the sources, and count ``recipients`` there.

        A message to many of them goes whole if there is room for one; what is over is missing later.

        Raises:
            Refused: None of them can take it.
        """
        if not self.pool or target.address.startswith("/"):
            return target
        why, answer = "family", NO_FAMILY
        for source in self.sources:
            if not source.reaches(target.address):
                continue
            if not self.presence.has(source.address):
                why, answer = ("absent", NOT_HERE) if why == "family" else (why, answer)
                continue
            rate = source.rate(self.day())
            if rate is not None and self.buckets.take((source.key, SENT), rate, recipients):
                return replace(target, source=source.address, hello=source.hostname)
            why, answer = "used up", USED_UP
        _refused.labels(why).inc()
        raise Refused(Stage.SOURCE, answer)

    def give_back(self, target: Target, recipients: int = 1) -> None:
        """The server did not let us come as far as a message."""
        for source in self.sources:
            rate = source.rate(self.day())
            if source.address == target.source and rate is not None:
                self.buckets.give_back((source.key, SENT), rate, recipients)


@dataclass(slots=True)
class Sources:
    """All pools; with what operators have set at hand for some seconds.

    Attributes:
        pool: Where it is kept.
        buckets: Where recipients of mail from addresses that warm up are counted, for all pods.
        presence: Which addresses this machine has.
    """

    pool: Pool
    buckets: Buckets = field(default_factory=Buckets)
    presence: Presence = field(default_factory=Presence)
    _pools: Mapping[str, tuple[Source, ...]] = field(default_factory=dict)
    _uses: Mapping[tuple[str, str], str] = field(default_factory=dict)
    _read_at: float = float("-inf")
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def exits(self, sender: str, domain: str) -> Exits:
        """Return the sources of mail from ``sender`` to ``domain``.

        Raises:
            Unavailable: PostgreSQL does not answer; somebody may have chosen a pool.
        """
        await self._read()
        name = pool_of(self._uses, sender, domain)
        if name == MACHINE:
            return Exits()
        members = ranked(self._pools.get(name, ()), sender, domain)
        return Exits(name, members, self.buckets, self.presence)

    def _is_fresh(self) -> bool:
        return time.monotonic() - self._read_at <= TABLE_FRESH.total_seconds()

    async def _read(self) -> None:
        if self._is_fresh():
            return
        async with self._reading:
            if self._is_fresh():
                return
            pools: dict[str, tuple[Source, ...]] = {}
            for source in await sources(self.pool):
                pools[source.pool] = (*pools.get(source.pool, ()), source)
            uses = {(use.sender, use.domain): use.pool for use in await source_uses(self.pool)}
            self._pools, self._uses = pools, uses
            self._read_at = time.monotonic()
