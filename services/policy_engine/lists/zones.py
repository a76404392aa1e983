"""Lists in DNS (RFC 5782): all are asked at the same time, and a total is what counts.

Nobody is listed because DNS has trouble. A zone that answers what no list answers, that refuses our
name server, that lists everybody (§5) or is silent counts nothing and raises an alarm until it is well again.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from policy_engine.content.finding import Finding
from policy_engine.enquiries import Memory
from policy_engine.lists.health import Health
from policy_engine.lists.proof import proved_name
from policy_engine.lists.questions import Asked, Traits, named, probes, questions
from posthouse.authenticity.names import Names
from posthouse.mail.answers import Answer, Found, Temporary
from posthouse.mail.list_codes import Listed, listed, parse_codes
from posthouse.storage.list_zones import Subject, Zone, zones
from posthouse.storage.pool import Pool
from posthouse.telemetry.metrics import counter

LOOK_AGAIN = timedelta(seconds=7)  # since we looked which zones there are
REMEMBER = timedelta(seconds=60)  # what they said of a client
REMEMBER_DOUBT = timedelta(seconds=5)  # where somebody did not answer
MAX_REMEMBERED = 10_000
MAX_QUESTIONS = 400  # about the names of one message
AT_ONCE = 200  # of these, of all messages: each has a socket
MAX_TEXT = 200
_ALL = "*"
_NO_NAME = re.compile(r"[^A-Z0-9]+")

_ASKED = counter("posthouse_policy_list_answers_total", "Answers of lists in DNS.", "answer")


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

    def finding(self, kind: str) -> Finding:
        """Return it as a finding: ``LIST_ZEN_SPAMHAUS_ORG``."""
        name = _NO_NAME.sub("_", self.asked.zone.name.upper()).strip("_")
        seen = f"{self.asked.what} {' '.join(self.answers)}"
        return Finding(rule=f"{kind}_{name}", score=self.points, seen=seen)


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
        self._looked = float("-inf")
        self.memory = Memory(self._look, clock)
        self._health = Health(clock)
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._remembered: OrderedDict[Traits, tuple[float, Standing]] = OrderedDict()

    @property
    def may_be_some(self) -> bool:
        """True unless we have looked, not long ago, and there were none."""
        return bool(self._zones) or self._looked + LOOK_AGAIN.total_seconds() < self._clock()

    def may_ask(self, *subjects: Subject) -> bool:
        """True unless we have looked, not long ago, and no zone is asked about one of these."""
        if self._looked + LOOK_AGAIN.total_seconds() < self._clock():
            return True
        return any(set(subjects).intersection(zone.asks) for zone in self._zones)

    async def look(self) -> None:
        """Learn which zones there are, unless that is fresh."""
        await self.memory.resolve([_ALL])

    async def _look(self, keys: Sequence[str]) -> dict[str, tuple[Zone, ...]]:
        found = await zones(self._pool)
        if found != self._zones:
            self._health.keep({each.zone for each in found})
            self._remembered.clear()
            self._zones = found
        self._looked = self._clock()
        return dict.fromkeys(keys, found)

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

    async def naming(self, names: Mapping[Subject, Sequence[str]]) -> Standing:
        """Return what the zones say of the names that a message holds, each zone once."""
        await self.look()
        asking = [zone for zone in self._zones if set(names).intersection(zone.asks)]
        share = MAX_QUESTIONS // max(len(asking), 1)
        wanted = [asked for zone in asking for asked in named(zone, names)[:share]]
        found = await self._answers(asking, wanted, self._hosts_in_turn)
        listings, unknown = [], 0
        for zone in asking:
            some = [(asked, its) for asked, its in found if asked.zone is zone]
            unknown += sum(its is None for _, its in some)
            hits = [(asked, its) for asked, its in some if its is not None and its.points]
            its = self._listed(zone, [answer for _, its in hits for answer in its.answers])
            if its.points:
                what = " ".join(asked.what for asked, _ in hits)
                listings.append(
                    Listing(Asked(zone, what, hits[0][0].name), its.points, its.answers)
                )
        return Standing(tuple(listings), unknown)

    async def _asked(self, traits: Traits) -> Standing:
        reverse = ""
        if any("reverse" in zone.asks for zone in self._zones) and traits.client:
            reverse = await proved_name(self._names, traits.client, self._patience)
        traits = Traits(
            client=traits.client, sender=traits.sender, hello=traits.hello, reverse=reverse
        )
        wanted = [asked for zone in self._zones for asked in questions(zone, traits)]
        found = await self._answers(self._zones, wanted, self._hosts)
        return Standing(
            tuple(
                Listing(asked, its.points, its.answers)
                for asked, its in found
                if its is not None and its.points
            ),
            sum(its is None for _, its in found),
        )

    async def _answers(
        self,
        asking: Sequence[Zone],
        wanted: Sequence[Asked],
        ask: Callable[[str], Coroutine[None, None, Answer[str]]],
    ) -> list[tuple[Asked, Listed | None]]:
        """Ask what is ``wanted`` of zones that are well, and probe those that are due.

        None is nobody's answer.
        """
        due = self._health.due(asking)
        wanted = [each for each in wanted if self._health.is_well(each.zone)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ask(each.name)) for each in wanted]
            for zone in due:
                group.create_task(self._probe(zone))
        answers = [task.result() for task in tasks]
        return [
            (asked, self._read(asked.zone, answer))
            for asked, answer in zip(wanted, answers, strict=True)
        ]

    def _read(self, zone: Zone, answer: Answer[str]) -> Listed | None:
        self._health.heard(zone, answer)
        if isinstance(answer, Temporary) or not self._health.is_well(zone):  # as probed now
            _ASKED.labels("none").inc()
            return None
        its = self._listed(zone, answer.records if isinstance(answer, Found) else ())
        if its.fault:
            self._health.complain(zone, "answer", its.fault)
        _ASKED.labels("fault" if its.fault else "listed" if its.points else "not listed").inc()
        return None if its.fault else its

    @staticmethod
    def _listed(zone: Zone, records: Sequence[str]) -> Listed:
        return listed(records, parse_codes(zone.codes), zone.weight)

    async def _probe(self, zone: Zone) -> None:
        """Look whether ``zone`` lists what every list has, and not what none has (§5)."""
        must, must_not = probes(zone)
        some, none = await asyncio.gather(self._hosts(must), self._hosts(must_not))
        self._health.probed(zone, some, none)

    async def _hosts(self, name: str) -> Answer[str]:
        return await self._in_time(self._names.hosts(name, 4))

    async def _hosts_in_turn(self, name: str) -> Answer[str]:
        async with self._turns:
            return await self._hosts(name)

    async def _in_time(self, asking: Awaitable[Answer[str]]) -> Answer[str]:
        try:
            async with asyncio.timeout(self._patience):
                return await asking
        except TimeoutError:
            return Temporary("no answer in time")
