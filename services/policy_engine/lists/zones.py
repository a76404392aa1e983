"""Lists in DNS (RFC 5782): all are asked at the same time, and a total is what counts.

Nobody is listed because DNS has trouble. A zone that answers what no list answers, that refuses our
name server, or that lists everybody (§5) counts nothing and raises an alarm until it is well again.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from policy_engine.lists.questions import Asked, Traits, probes, questions
from posthouse.authenticity.iprev import check_reverse
from posthouse.authenticity.names import Names
from posthouse.mail.answers import Answer, Empty, Found, Temporary
from posthouse.mail.list_codes import Listed, listed, parse_codes
from posthouse.storage.list_zones import Zone, zones
from posthouse.storage.pool import Pool
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

LOOK_EVERY = timedelta(seconds=2)  # which zones there are
LOOK_AGAIN = timedelta(seconds=5)  # for a look without a question
REMEMBER = timedelta(seconds=60)  # what they said of a client
REMEMBER_DOUBT = timedelta(seconds=5)  # where somebody did not answer
PROBE_EVERY = timedelta(hours=1)
PROBE_AGAIN = timedelta(minutes=1)  # a zone that is not well
MAX_REMEMBERED = 10_000
MAX_TEXT = 200

_ASKED = counter("posthouse_policy_list_answers_total", "Answers of lists in DNS.", "answer")
_FAULTS = counter("posthouse_policy_list_faults_total", "Lists that are not well.", "fault")
log = get_logger()


@dataclass(frozen=True, slots=True)
class Listing:
    """Somebody is on a list.

    Attributes:
        asked: Which zone, about whom.
        points: What it counts.
        answers: What it said.
    """

    asked: Asked
    points: float
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """What all lists say.

    Attributes:
        listings: Where there is something.
        unknown: How many questions nobody answered.
    """

    listings: tuple[Listing, ...] = ()
    unknown: int = 0

    @property
    def total(self) -> float:
        """The sum of the points."""
        return round(sum(each.points for each in self.listings), 3)

    @property
    def worst(self) -> Listing:
        """The listing with the most points."""
        return max(self.listings, key=lambda each: each.points)


class Zones:
    """Asks them."""

    def __init__(
        self,
        pool: Pool,
        names: Names,
        patience: timedelta,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask ``names``, at most for ``patience``; the zones stand in ``pool``."""
        self._pool = pool
        self._names = names
        self._patience = patience.total_seconds()
        self._clock = clock
        self._zones: tuple[Zone, ...] = ()
        self._until = 0.0
        self._health: dict[str, tuple[float, bool]] = {}
        self._remembered: OrderedDict[Traits, tuple[float, Standing]] = OrderedDict()

    @property
    def may_be_some(self) -> bool:
        """True unless we have looked, not long ago, and there were none."""
        return bool(self._zones) or self._until + LOOK_AGAIN.total_seconds() < self._clock()

    async def look(self) -> None:
        """Learn which zones there are, unless that is fresh."""
        if self._until > self._clock():
            return
        found = await zones(self._pool)
        if found != self._zones:
            names = {each.zone for each in found}
            self._health = {name: at for name, at in self._health.items() if name in names}
            self._remembered.clear()
            self._zones = found
        self._until = self._clock() + LOOK_EVERY.total_seconds()

    async def standing(self, client: str, sender: str, hello: str) -> Standing:
        """Return what the zones say of a client, its sender's domain and what it calls itself."""
        await self.look()
        if not self._zones:
            return Standing()
        key = Traits(client=client, sender=sender.lower(), hello=hello.lower())
        known = self._remembered.get(key)
        if known is not None and known[0] > self._clock():
            return known[1]
        found = await self._asked(key)
        lasts = REMEMBER_DOUBT if found.unknown else REMEMBER
        self._remembered[key] = (self._clock() + lasts.total_seconds(), found)
        self._remembered.move_to_end(key)
        if len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)
        return found

    async def text_of(self, listing: Listing) -> str:
        """Return what a sender is told: by the operator, by the zone itself, or in general."""
        asked = listing.asked
        if asked.zone.text:
            return asked.zone.text
        said = await self._in_time(self._names.txt(asked.name))
        if isinstance(said, Found):
            text = " ".join(said.records[0].split())
            if text and text.isascii() and text.isprintable():
                return text[:MAX_TEXT]
        return f"Service unavailable; {asked.what} is listed by {asked.zone.name}"

    async def _asked(self, traits: Traits) -> Standing:
        reverse = ""
        if any("reverse" in zone.asks for zone in self._zones) and traits.client:
            reverse = await self._reverse(traits.client)
        traits = Traits(
            client=traits.client, sender=traits.sender, hello=traits.hello, reverse=reverse
        )
        well = [zone for zone in self._zones if self._is_well(zone)]
        wanted = [each for zone in well for each in questions(zone, traits)]
        due = [zone for zone in self._zones if self._is_due(zone)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._hosts(each.name)) for each in wanted]
            for zone in due:
                group.create_task(self._probe(zone))
        return self._read(wanted, [task.result() for task in tasks])

    def _read(self, wanted: Sequence[Asked], answers: Sequence[Answer[str]]) -> Standing:
        listings, unknown = [], 0
        for asked, answer in zip(wanted, answers, strict=True):
            if isinstance(answer, Temporary) or not self._is_well(asked.zone):  # as probed now
                unknown += 1
                _ASKED.labels("none").inc()
                continue
            its = self._listed(asked.zone, answer)
            if its.fault:
                unknown += 1
                self._complain(asked.zone, "answer", its.fault)
            elif its.points:
                listings.append(Listing(asked, its.points, its.answers))
            _ASKED.labels("fault" if its.fault else "listed" if its.points else "not listed").inc()
        return Standing(tuple(listings), unknown)

    @staticmethod
    def _listed(zone: Zone, answer: Answer[str]) -> Listed:
        records = answer.records if isinstance(answer, Found) else ()
        return listed(records, parse_codes(zone.codes), zone.weight)

    async def _probe(self, zone: Zone) -> None:
        """Look whether ``zone`` lists what every list has, and not what none has (§5)."""
        must, must_not = probes(zone)
        some, none = await asyncio.gather(self._hosts(must), self._hosts(must_not))
        fault = self._listed(zone, some).fault or self._listed(zone, none).fault
        if fault:
            self._complain(zone, "answer", fault)
            return
        is_well = not isinstance(none, Found)
        is_sure = is_well and isinstance(some, Found) and not isinstance(none, Temporary)
        if not is_well:
            self._complain(zone, "lists all", "it lists what no list may have: everybody")
        elif isinstance(some, Empty):
            self._complain(zone, "lists none", "it does not list its own test entry", is_well=True)
        else:
            self._note(zone, PROBE_EVERY if is_sure else PROBE_AGAIN, is_well=True)

    def _is_due(self, zone: Zone) -> bool:
        health = self._health.get(zone.zone)
        return health is None or health[0] <= self._clock()

    def _is_well(self, zone: Zone) -> bool:
        health = self._health.get(zone.zone)
        return health is None or health[1]

    def _note(self, zone: Zone, lasts: timedelta, *, is_well: bool) -> None:
        self._health[zone.zone] = (self._clock() + lasts.total_seconds(), is_well)

    def _complain(self, zone: Zone, fault: str, why: str, *, is_well: bool = False) -> None:
        """Raise the alarm; what is not well is not asked until it is probed again."""
        self._note(zone, PROBE_AGAIN, is_well=is_well)
        _FAULTS.labels(fault).inc()
        log.error("list in DNS is not well", list=zone.name, reason=why)

    async def _reverse(self, client: str) -> str:
        try:
            async with asyncio.timeout(self._patience):
                return (await check_reverse(self._names, client)).name
        except TimeoutError:
            return ""

    async def _hosts(self, name: str) -> Answer[str]:
        return await self._in_time(self._names.hosts(name, 4))

    async def _in_time(self, asking: Awaitable[Answer[str]]) -> Answer[str]:
        try:
            async with asyncio.timeout(self._patience):
                return await asking
        except TimeoutError:
            return Temporary("no answer in time")
