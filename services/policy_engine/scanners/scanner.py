"""A scanner as a check: its size limit, its addresses, and what is done when it cannot say."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from policy_engine.content.case import Case
from policy_engine.content.finding import Action, Finding
from policy_engine.scanners.addresses import Address
from policy_engine.scanners.reading import INLINE_OCTETS, pieces
from policy_engine.scanners.stations import Stations
from policy_engine.scanners.trouble import TooLarge
from posthouse.blobs import Blobs
from posthouse.mail.errors import Unavailable
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

_SCANS = counter(
    "posthouse_policy_scans_total", "Messages that scanners were asked about.", "scanner", "verdict"
)
log = get_logger()

Pieces = Callable[[], AsyncIterator[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a scanner said.

    Attributes:
        verdict: In a word, of a closed set: for metrics.
        findings: What it found.
    """

    verdict: str
    findings: tuple[Finding, ...] = ()


class Dialect(Protocol):
    """How one kind of scanner is spoken to.

    Attributes:
        name: Its name in settings, metrics and logs.
    """

    name: str

    async def scan(self, address: Address, case: Case, octets: Pieces) -> Answer:
        """Return what the scanner at ``address`` says of ``case``.

        Raises:
            OSError, EOFError, Broken: If the address is in trouble; another one is asked.
            TooLarge: If the message is larger than it takes.
            Unavailable: If it cannot say of this message, or the message cannot be read.
        """
        ...

    async def probe(self, address: Address) -> None:
        """Return if the scanner at ``address`` is there; else raise as `scan` does."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """What a scanner is asked about, and what happens when it cannot say.

    Attributes:
        if_away: What is asked for while it does not answer; None: nothing.
        largest: The octets of the largest message that it is asked about.
        if_too_large: What is asked for of a larger one; None: nothing.
        of_ours: It is asked about mail of this house, too.
    """

    if_away: Action | None
    largest: int
    if_too_large: Action | None
    of_ours: bool


class Scanner:
    """Asks one kind of scanner; see `policy_engine.content.pipeline.Check`."""

    def __init__(
        self, dialect: Dialect, stations: Stations, manners: Manners, blobs: Blobs
    ) -> None:
        self.name = dialect.name
        self.if_away = manners.if_away
        self.wants_all = manners.largest > INLINE_OCTETS
        self.of_ours = manners.of_ours
        self.of_strangers = True
        self._dialect = dialect
        self._stations = stations
        self._manners = manners
        self._blobs = blobs

    async def __call__(self, case: Case) -> Sequence[Finding]:
        """Return what the scanner finds; raise `Unavailable` if none can say."""
        if case.size > self._manners.largest:
            return self._too_large(case)
        try:
            answer = await self._stations.ask(
                lambda address: self._dialect.scan(address, case, lambda: pieces(case, self._blobs))
            )
        except TooLarge:
            return self._too_large(case)
        except Unavailable:
            _SCANS.labels(self.name, "away").inc()
            raise
        _SCANS.labels(self.name, answer.verdict).inc()
        return answer.findings

    def trouble(self) -> str | None:
        """Return why we are not ready; None if we are, or mail is taken without this scanner."""
        return self._stations.trouble() if self.if_away is not None else None

    async def watch(self) -> None:
        """Look after the scanners for ever."""
        await self._stations.watch()

    def _too_large(self, case: Case) -> Sequence[Finding]:
        _SCANS.labels(self.name, "too large").inc()
        log.warning("message not scanned", envelope=case.id, scanner=self.name, size=case.size)
        rule = f"{self.name.upper()}_TOO_LARGE"
        seen = f"not scanned: {case.size} octets are too large"
        return [Finding(rule=rule, seen=seen, action=self._manners.if_too_large)]
