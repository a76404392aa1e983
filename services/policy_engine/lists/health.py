"""How lists in DNS are: one that answers what no list does, lists everybody, or is silent, rests.

Each is probed now and then for what every list must have, and for what none may have (RFC 5782 §5).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta

from posthouse.mail.answers import Answer, Empty, Found, Temporary
from posthouse.mail.list_codes import listed, parse_codes
from posthouse.storage.list_zones import Zone
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

PROBE_EVERY = timedelta(hours=1)
PROBE_AGAIN = timedelta(minutes=1)  # a zone that is not well
SILENT_AFTER = 5  # questions one after the other without an answer

_FAULTS = counter("posthouse_policy_list_faults_total", "Lists that are not well.", "fault")
log = get_logger()


class Health:
    """Knows which zones may be asked now."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, tuple[float, bool]] = {}
        self._silent: Counter[str] = Counter()

    def keep(self, zones: Collection[str]) -> None:
        """Forget all but ``zones``."""
        self._known = {name: at for name, at in self._known.items() if name in zones}
        self._silent = Counter({name: n for name, n in self._silent.items() if name in zones})

    def is_well(self, zone: Zone) -> bool:
        """True unless it rests."""
        known = self._known.get(zone.zone)
        return known is None or known[1]

    def due(self, zones: Sequence[Zone]) -> list[Zone]:
        """Return those that are to be probed now; nobody else is told so for a while."""
        found = []
        for zone in zones:
            known = self._known.get(zone.zone)
            if known is None or known[0] <= self._clock():
                found.append(zone)
                self._note(zone, PROBE_AGAIN, is_well=self.is_well(zone))
        return found

    def heard(self, zone: Zone, answer: Answer[str]) -> None:
        """Count who does not answer: it costs all mail the time that is waited for it."""
        if not isinstance(answer, Temporary):
            self._silent.pop(zone.zone, None)
            return
        self._silent[zone.zone] += 1
        if self._silent[zone.zone] >= SILENT_AFTER and self.is_well(zone):
            self.complain(zone, "silent", "it does not answer")

    def probed(self, zone: Zone, must: Answer[str], must_not: Answer[str]) -> None:
        """Hear what it said of what it must list, and of what it must not."""
        fault = _fault(zone, must) or _fault(zone, must_not)
        if fault:
            self.complain(zone, "answer", fault)
        elif isinstance(must_not, Found):
            self.complain(zone, "lists all", "it lists what no list may have: everybody")
        elif isinstance(must, Temporary) or isinstance(must_not, Temporary):
            is_silent = isinstance(must, Temporary) and isinstance(must_not, Temporary)
            self._note(zone, PROBE_AGAIN, is_well=self.is_well(zone) or not is_silent)
        else:
            self._note(zone, PROBE_EVERY, is_well=True)
            self._silent.pop(zone.zone, None)
            if isinstance(
                must, Empty
            ):  # some never had one; but one that is given up has none, too
                _FAULTS.labels("lists none").inc()
                log.warning("list in DNS lacks its test entry", list=zone.name)

    def complain(self, zone: Zone, fault: str, why: str) -> None:
        """Raise the alarm; it rests until it is probed again."""
        self._note(zone, PROBE_AGAIN, is_well=False)
        _FAULTS.labels(fault).inc()
        log.error("list in DNS is not well", list=zone.name, reason=why)

    def _note(self, zone: Zone, lasts: timedelta, *, is_well: bool) -> None:
        self._known[zone.zone] = (self._clock() + lasts.total_seconds(), is_well)


def _fault(zone: Zone, answer: Answer[str]) -> str:
    records = answer.records if isinstance(answer, Found) else ()
    return listed(records, parse_codes(zone.codes), zone.weight).fault
