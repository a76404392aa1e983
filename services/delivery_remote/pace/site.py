"""What one site bears: how many sessions, how much in a time, and who is next.

A site is all servers that a shaping rule takes together, or else one set of MX hosts, whatever
domains they serve. Its limit is that of congestion control: it doubles from `FIRST_LIMIT` until the
site first says "not now", halves with each such word, and then grows by one a round. While it
pauses nobody begins, for none of its domains.

    slot ─▶ room and nobody before us? ─▶ begin
              else line (tenants, senders, oldest) ─▶ called ─▶ begin
                     └ no room there, waited for too long, displaced ─▶ `Crowded`: back to the broker
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeAlias

from delivery_remote.pace.away import Away
from delivery_remote.pace.kept import Kept
from delivery_remote.pace.shaping import USUAL, Shape
from posthouse.mail.rates import Buckets
from posthouse.mail.turns import Line, Party
from posthouse.telemetry.metrics import counter, gauge

Clock: TypeAlias = Callable[[], float]

FIRST_LIMIT = 5.0  # sessions at once with a site nothing is known of
LONGEST_WAIT = 120.0  # seconds in the line; the broker takes back what nobody ends in 30 minutes
LONGEST_PAUSE = 3600.0
BRIEF = 10.0  # a pause that is waited for in the line; during a longer one mail is put off
OLD_PAUSE = 3600.0  # so long after a pause the next one is a first one
LOOK_AGAIN = (0.02, 1.0)  # at a rate without room: the soonest and the latest

_waiting = gauge("posthouse_remote_waiting", "Mails that wait for their turn at a site")
_strains = counter("posthouse_remote_strains_total", "Times that a site said: not now")
_displaced = counter(
    "posthouse_remote_displaced_total", "Mails sent back because another tenant or site had less"
)
_rated = counter(
    "posthouse_remote_rated_total", "Looks at a site whose rate has no room, by which rate", "rate"
)


class Crowded(Exception):
    """Too much waits for ``site``."""

    def __init__(self, site: Site) -> None:
        super().__init__(f"too much mail waits for {site.name}")
        self.site = site


@dataclass(slots=True, eq=False)
class Hall:
    """Where the lines of all sites of this process stand.

    Attributes:
        places: Mails that may wait in all of them.
        clock: Monotonic seconds.
        buckets: Count messages and sessions, of all pods where they are shared.
        sites: By their names.
    """

    places: int = 150
    clock: Clock = time.monotonic
    buckets: Buckets = field(default_factory=Buckets)
    sites: dict[str, Site] = field(default_factory=dict)
    waiting: int = 0
    _lines: set[Site] = field(default_factory=set)  # sites where somebody waits

    def site(self, name: str, shape: Shape) -> Site:
        """Return the site ``name``; what is known of it, or a blank one."""
        site = self.sites.get(name)
        if site is None:
            site = self.sites[name] = Site(name, self, shape)
        site.used_at = self.clock()
        return site

    def has_room(self, site: Site, party: Party) -> bool:
        """True if ``party`` may wait at ``site``: there is room, or who has most gives way to it."""
        return self.waiting < self.places or self._yielding_to(site, party) is not None

    def make_room(self, site: Site, party: Party) -> bool:
        """Send back who gives way to ``party``, if that is needed; False if there is no room."""
        if self.waiting < self.places:
            return True
        found = self._yielding_to(site, party)
        if found is not None:
            found[0].displace(found[1])
        return found is not None

    def _yielding_to(self, site: Site, party: Party) -> tuple[Site, Party] | None:
        """Return whose newest mail leaves: of the longest line, else of who has most at ``site``."""
        largest = max(self._lines, key=lambda each: each.waiting, default=site)
        where = largest if largest.waiting > site.waiting + 1 else site
        who = where.line.yielding_to(party) if where is site else where.line.largest()
        return (where, who) if who else None

    def forget(self, bound: float, wanted: Collection[str]) -> None:
        """Drop the sites that were unused for more than ``bound`` seconds and are not ``wanted``."""
        over = [n for n, site in self.sites.items() if n not in wanted and site.unused() > bound]
        for name in over:
            del self.sites[name]

    def moved(self, site: Site, change: int) -> None:
        """So many more wait at ``site``."""
        self.waiting += change
        _waiting.set(self.waiting)
        if site.line:
            self._lines.add(site)
        else:
            self._lines.discard(site)


@dataclass(slots=True, eq=False)
class Site:
    """One site; `slot` is the way to it.

    Attributes:
        name: Of its rule, or its servers.
        hall: Where its line stands.
        shape: What it gets.
        limit: Sessions at once that it seems to bear.
        pods: Processes that talk to it now, this one included.
        line: Who waits.
        kept: Sessions that are open and unused.
        used_at: When somebody last wanted it.
        trouble: What it said before it paused.
    """

    name: str
    hall: Hall = field(default_factory=Hall)
    shape: Shape = USUAL
    limit: float = FIRST_LIMIT
    pods: int = 1
    line: Line[asyncio.Future[None]] = field(default_factory=Line)
    kept: Kept = field(default_factory=Kept)
    used_at: float = float("-inf")
    trouble: str = ""
    _ceiling: float = float("inf")
    _active: int = 0
    _paused_until: float = float("-inf")
    _pauses: int = 0
    _timer: asyncio.TimerHandle | None = None
    _away: Away = field(default_factory=Away)

    @property
    def active(self) -> int:
        """Mails that are handed over now."""
        return self._active

    @property
    def waiting(self) -> int:
        """Mails that stand in its line."""
        return len(self.line)

    @property
    def share(self) -> int:
        """Sessions that this process may have at most, of those that all may have."""
        return max(1, self.shape.sessions // self.pods)

    def is_crowded(self, party: Party) -> bool:
        """True if a mail of ``party`` could neither begin nor wait here."""
        is_free = not self.line and self._may_begin()
        return not (is_free or self.hall.has_room(self, party))

    def unused(self) -> float:
        """Return for how many seconds nothing happened here; 0 while something does."""
        if self._active or self.line or self.kept or self.paused() > 0:
            return 0.0
        return self.hall.clock() - self.used_at

    def paused(self) -> float:
        """Return for how many seconds nobody begins here."""
        return max(0.0, self._paused_until - self.hall.clock())

    def worked(self) -> None:
        """It took a message, or said of one that it does not want it."""
        grown = self.limit + (1.0 if self.limit < self._ceiling else 1.0 / self.limit)
        self.limit = min(grown, float(self.share))
        if self.hall.clock() - self._paused_until > OLD_PAUSE:
            self._pauses = 0

    def strained(self, trouble: str = "") -> None:
        """It says "not now": fewer sessions, after a pause. Those that hear it together count once."""
        if self.paused() > 0:
            return
        _strains.inc()
        self.limit = self._ceiling = max(1.0, self.limit / 2)
        pause = self.shape.pause.total_seconds() * 2**self._pauses
        self._pauses = min(self._pauses + 1, 16)
        self.pause(min(pause, LONGEST_PAUSE), trouble)

    def strained_elsewhere(self, paused: float, trouble: str) -> None:
        """Another process was told "not now", and waits for so many seconds."""
        if paused > self.paused() + BRIEF / 10:
            self.limit = self._ceiling = max(1.0, self.limit / 2)
            self.pause(paused, trouble)

    def pause(self, seconds: float, trouble: str = "") -> None:
        """Let nobody begin for ``seconds``, or longer if that was said before."""
        until = self.hall.clock() + seconds
        if until > self._paused_until:
            self._paused_until, self.trouble = until, trouble

    @asynccontextmanager
    async def slot(self, party: Party) -> AsyncIterator[None]:
        """Wait until a mail of ``party`` may be handed over.

        Raises:
            Crowded: Too much waits here, or has waited for too long.
        """
        if not self.line and self._may_begin():
            self._begin()
        else:
            await self._wait(party)
        try:
            yield
        finally:
            self._active -= 1
            self.used_at = self.hall.clock()
            self._call()

    def count_session(self) -> None:
        """A new session is opened."""
        self.hall.buckets.add((self.name, "sessions"), self.shape.connections)

    def displace(self, party: Party) -> None:
        """Send back the newest mail of ``party``."""
        turn = self.line.newest_of(party)
        self.hall.moved(self, -1)
        _displaced.inc()
        if not turn.done():
            turn.set_exception(Crowded(self))

    def sent_back(self) -> timedelta:
        """Return how long a mail stays away that has found no room."""
        return self._away.send(self.hall.clock(), self.waiting)

    def _may_begin(self) -> bool:
        return self._active < min(int(self.limit), self.share) and self._full() is None

    def _full(self) -> float | None:
        """Return in how many seconds to look again, because of a pause or a rate; None for now."""
        left = self.paused()
        if left > 0:
            return left
        for what, rate in (("messages", self.shape.rate), ("sessions", self.shape.connections)):
            if what == "sessions" and self.kept:
                continue  # one of those will do
            if not self.hall.buckets.has_room((self.name, what), rate):
                _rated.labels(what).inc()
                return min(max(rate.pace, LOOK_AGAIN[0]), LOOK_AGAIN[1])
        return None

    def _begin(self) -> None:
        self._active += 1
        self._away.begun(self.hall.clock())
        self.hall.buckets.take((self.name, "messages"), self.shape.rate)

    async def _wait(self, party: Party) -> None:
        if not self.hall.make_room(self, party):
            raise Crowded(self)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.line.join(party, turn)
        self.hall.moved(self, 1)
        self._call()
        try:
            async with asyncio.timeout(LONGEST_WAIT):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._active -= 1  # called in the same moment
                self._call()
            elif self.line.leave(party, turn):
                self.hall.moved(self, -1)
            if isinstance(error, TimeoutError):
                raise Crowded(self) from None
            raise

    def _call(self) -> None:
        """Call those whose turn it is; look again when a pause or a rate lets the next one go."""
        while self.line and self._may_begin():
            turn = self.line.next()
            self.hall.moved(self, -1)
            if turn is not None and not turn.done():
                self._begin()
                turn.set_result(None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        seconds = self._full() if self.line else None
        if seconds is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(min(max(seconds, LOOK_AGAIN[0]), 60.0), self._call)
