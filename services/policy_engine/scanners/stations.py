"""Stations: the addresses of one scanner, asked in turn; one that is away is left alone for a while.

A message that finds one station away goes to the next. A station that failed rests, at first for a
second, at last for a minute; then one message tries it. While all of them rest nobody is asked, so
that a scanner that is away costs messages no time. The watch ends the rest of one that comes back; not
of one that was there all the time and did not do its work, which only time can help. Who hangs up on a
message and then answers the watch's question is not away: it did not want that message.
"""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from policy_engine.scanners.addresses import Address
from policy_engine.scanners.trouble import Broken
from posthouse.mail.errors import Unavailable
from posthouse.telemetry.logs import get_logger
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
_HANG_UPS = {errno.ECONNRESET, errno.EPIPE}

Probe: TypeAlias = Callable[[Address], Awaitable[None]]
log = get_logger()


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
        self._was_there = False
        self._outage = Outage(
            "scanner went away", "scanner is back", clock=clock, scanner=scanner, address=str(address)
        )  # fmt: skip

    @property
    def is_away(self) -> bool:
        """True from a failure to the next answer."""
        return self._rests_until is not None

    @property
    def is_resting(self) -> bool:
        """True if it is not worth asking now."""
        return self._rests_until is not None and self._clock() < self._rests_until

    def take(self, seconds: float) -> bool:
        """Return whether to ask it now; where it was away, nobody else does for ``seconds``."""
        if self.is_resting:
            return False
        if self._rests_until is not None:
            self._rests_until = self._clock() + seconds
        return True

    def failed(self, reason: str, *, was_there: bool) -> None:
        """It did not answer as it should; ``was_there``: it took the connection."""
        self._was_there = was_there
        rest = min(FIRST_REST_SECONDS * 2.0**self._failures, LONGEST_REST_SECONDS)
        self._failures = min(self._failures + 1, 16)
        self._rests_until = self._clock() + rest
        self._outage.away(reason)

    def answered(self) -> None:
        """It answered a question about a message."""
        self._failures = 0
        self._rests_until = None
        self._outage.over()

    def greeted(self) -> None:
        """It answered the watch: one that was gone is back."""
        if not (self.is_resting and self._was_there):
            self._rests_until = None
            self._outage.over()


class Stations:
    """All addresses of one scanner."""

    def __init__(
        self,
        scanner: str,
        addresses: Sequence[Address],
        terms: Terms,
        probe: Probe,
        clock: Clock = time.monotonic,
    ) -> None:
        """Ask ``addresses`` in turn, on these ``terms``; ``probe`` returns if one is there."""
        self.scanner = scanner
        self._terms = terms
        self._probe = probe
        self._all = [Station(scanner, each, clock) for each in addresses]
        self._turn = 0
        self._turns = asyncio.Semaphore(terms.at_once)

    async def ask(self, question: Callable[[Address], Awaitable[T]]) -> T:
        """Return what the first station that answers says; raise `Unavailable` if none does."""
        if all(station.is_resting for station in self._all):  # before it waits for others
            raise Unavailable("the scanner is away", detail=f"all of {self.scanner} rest")
        async with self._turns:
            for station in self._in_turn():
                if not station.take(self._terms.seconds):
                    continue
                try:
                    async with asyncio.timeout(self._terms.seconds):
                        answer = await question(station.address)
                except _TROUBLES as trouble:
                    if not await self._only_hung_up(station, trouble):
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

    async def watch(self) -> None:
        """Look after the stations for ever."""
        while True:
            await asyncio.gather(*map(self._look, self._all))
            self._count()
            await asyncio.sleep(WATCH_SECONDS)

    async def _look(self, station: Station) -> None:
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await self._probe(station.address)
        except _TROUBLES as trouble:
            self._note(station, trouble)
        else:
            station.greeted()

    async def _only_hung_up(self, station: Station, trouble: Exception) -> bool:
        """Return whether ``trouble`` was that it did not want the message."""
        if not _hung_up(trouble):
            return False
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await self._probe(station.address)
        except _TROUBLES:
            return False
        _ERRORS.labels(self.scanner, "hung up").inc()
        log.warning(
            "scanner hung up on a message", scanner=self.scanner, address=str(station.address)
        )
        return True

    def _in_turn(self) -> Sequence[Station]:
        self._turn = (self._turn + 1) % len(self._all)
        return self._all[self._turn :] + self._all[: self._turn]

    def _note(self, station: Station, trouble: Exception) -> None:
        kind = _kind(trouble)
        _ERRORS.labels(self.scanner, kind).inc()
        reason = f"{kind}: {trouble}" if str(trouble) else kind
        station.failed(reason, was_there=isinstance(trouble, TimeoutError | Broken))
        self._count()

    def _count(self) -> None:
        _AWAKE.labels(self.scanner).set(sum(not station.is_away for station in self._all))


def _kind(trouble: Exception) -> str:
    if isinstance(trouble, TimeoutError):
        return "no answer in time"
    if isinstance(trouble, Broken):
        return "no such answer"
    return "closed early" if _hung_up(trouble) else "no connection"


def _hung_up(trouble: Exception) -> bool:
    if isinstance(trouble, EOFError | ConnectionResetError | BrokenPipeError):
        return True
    return isinstance(trouble, OSError) and trouble.errno in _HANG_UPS
