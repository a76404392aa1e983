"""Stations: the addresses of one scanner, asked in turn; one that is away is left alone for a while.

A message that finds one station away goes to the next. A station that failed rests, at first for a
second, at last for a minute; then one message, or the watch, tries it. While all of them rest nobody
is asked, so that a scanner that is away costs messages no time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from policy_engine.scanners.addresses import Address
from policy_engine.scanners.trouble import Broken
from posthouse.mail.errors import Unavailable
from posthouse.telemetry.metrics import counter, gauge
from posthouse.telemetry.outages import Outage
from posthouse.telemetry.probes import Clock

T = TypeVar("T")

FIRST_REST_SECONDS = 1.0
LONGEST_REST_SECONDS = 60.0
WATCH_SECONDS = 3.0  # between two looks at a station
PROBE_SECONDS = 5.0

_ERRORS = counter(
    "posthouse_policy_scanner_errors_total", "Questions that a scanner did not answer.", "scanner", "kind"
)  # fmt: skip
_AWAKE = gauge("posthouse_policy_scanner_addresses", "Addresses that answer.", "scanner")

# What an address may do wrong; all else is our own trouble, or the message's.
_TROUBLES = (OSError, EOFError, Broken)  # TimeoutError is an OSError


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How much is asked of a scanner.

    Attributes:
        seconds: How long one address may take for one message.
        at_once: Messages that are asked about at the same time; others wait for their turn.
    """

    seconds: float
    at_once: int


class Station:
    """One address, and whether it is worth asking."""

    def __init__(self, scanner: str, address: Address, clock: Clock) -> None:
        self.address = address
        self._clock = clock
        self._failures = 0
        self._rests_until: float | None = None
        self._outage = Outage(
            "scanner went away", "scanner is back", clock=clock, scanner=scanner, address=str(address)
        )  # fmt: skip

    @property
    def is_away(self) -> bool:
        """True from a failure to the next answer."""
        return self._rests_until is not None

    def take(self, seconds: float) -> bool:
        """Return whether to ask it now; where it was away, nobody else does for ``seconds``."""
        if self._rests_until is None:
            return True
        now = self._clock()
        if now < self._rests_until:
            return False
        self._rests_until = now + seconds
        return True

    def failed(self, reason: str) -> None:
        """It did not answer as it should."""
        rest = min(FIRST_REST_SECONDS * 2.0**self._failures, LONGEST_REST_SECONDS)
        self._failures = min(self._failures + 1, 16)
        self._rests_until = self._clock() + rest
        self._outage.away(reason)

    def answered(self) -> None:
        """It answered a question about a message."""
        self._failures = 0
        self.greeted()

    def greeted(self) -> None:
        """It answered the watch: it may be asked; whether it still can scan will be seen."""
        self._rests_until = None
        self._outage.over()


class Stations:
    """All addresses of one scanner."""

    def __init__(
        self,
        scanner: str,
        addresses: Sequence[Address],
        terms: Terms,
        clock: Clock = time.monotonic,
    ) -> None:
        """Ask ``addresses`` in turn, on these ``terms``."""
        self.scanner = scanner
        self._terms = terms
        self._all = [Station(scanner, each, clock) for each in addresses]
        self._turn = 0
        self._turns = asyncio.Semaphore(terms.at_once)

    async def ask(self, question: Callable[[Address], Awaitable[T]]) -> T:
        """Return what the first station that answers says; raise `Unavailable` if none does."""
        async with self._turns:
            for station in self._in_turn():
                if not station.take(self._terms.seconds):
                    continue
                try:
                    async with asyncio.timeout(self._terms.seconds):
                        answer = await question(station.address)
                except _TROUBLES as trouble:
                    self._note(station, trouble)
                    continue
                station.answered()
                self._count()
                return answer
        raise Unavailable("the scanner is away", detail=f"no {self.scanner} answers")

    def trouble(self) -> str | None:
        """Return why nobody can be asked now; None if somebody can."""
        away = [str(station.address) for station in self._all if station.is_away]
        return f"no answer from {', '.join(away)}" if len(away) == len(self._all) else None

    async def watch(self, probe: Callable[[Address], Awaitable[None]]) -> None:
        """Look after the stations for ever, by ``probe``."""
        while True:
            await asyncio.gather(*(self._look(station, probe) for station in self._all))
            self._count()
            await asyncio.sleep(WATCH_SECONDS)

    async def _look(self, station: Station, probe: Callable[[Address], Awaitable[None]]) -> None:
        if not station.take(PROBE_SECONDS):
            return
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await probe(station.address)
        except _TROUBLES as trouble:
            self._note(station, trouble)
        else:
            station.greeted()

    def _in_turn(self) -> Sequence[Station]:
        self._turn = (self._turn + 1) % len(self._all)
        return self._all[self._turn :] + self._all[: self._turn]

    def _note(self, station: Station, trouble: Exception) -> None:
        _ERRORS.labels(self.scanner, _kind(trouble)).inc()
        station.failed(f"{_kind(trouble)}: {trouble}" if str(trouble) else _kind(trouble))
        self._count()

    def _count(self) -> None:
        _AWAKE.labels(self.scanner).set(sum(not station.is_away for station in self._all))


def _kind(trouble: Exception) -> str:
    if isinstance(trouble, TimeoutError):
        return "no answer in time"
    if isinstance(trouble, Broken):
        return "no such answer"
    return (
        "closed early"
        if isinstance(trouble, EOFError | ConnectionResetError | BrokenPipeError)
        else "no connection"
    )
