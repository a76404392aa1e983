"""What we know of one next hop: whether it is worth asking, and what failed there.

A next hop is one set of servers, whatever domains they serve; it belongs to a site, which says how
much at a time (`delivery_remote.pace`). While a next hop rests nobody asks it (`resting`).

    rest   after all its servers failed: `Limits.rest`, doubled each time up to `Limits.rest_max`;
           those that fail together count once; a success ends it, and so does a way to a server
           that has not failed yet (`meet`): a new route, another MX
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

from delivery_remote.pace import Party, Site
from delivery_remote.pace.site import BRIEF
from delivery_remote.routes import Target, Tls
from delivery_remote.security.proofs import MAY
from delivery_remote.trouble import Later
from posthouse.mail.status import Status

FIRST_REST = timedelta(seconds=30)
LONGEST_REST = timedelta(minutes=5)
MAX_MISSED = 1000  # domains of one site whose mail follows when it is back
MAX_FAILED = 100  # servers of a destination; MX may name others every time
PLAIN_SECONDS = 600.0  # so long TLS that has failed with a server is not tried again
ALIVE_SECONDS = 60.0  # how long a success proves that the destination lives
ROUND_SECONDS = 0.1  # between two that were put off and come round again: none of them is missed
LONGEST_ROUND = timedelta(hours=1)
CONGESTED = Status(451, (4, 4, 5))  # RFC 3463 §3.5: mail system congestion
REPORTS = Party("", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What destinations get, beside what shaping rules say of their sites.

    Attributes:
        waiting: Mails that wait for a turn in this process; more are sent back to the broker.
        idle: How long a session is kept open unused.
        lifetime: How long a session is used.
        rest: First pause after all servers failed.
        rest_max: Longest pause.
        idle_sessions: Kept open in the whole process.
    """

    waiting: int = 150
    idle: timedelta = timedelta(seconds=10)
    lifetime: timedelta = timedelta(minutes=5)
    rest: timedelta = FIRST_REST
    rest_max: timedelta = LONGEST_REST
    idle_sessions: int = 500


@dataclass(frozen=True, slots=True)
class Rest:
    """A destination is not asked now.

    Attributes:
        name: The destination.
        left: How much longer.
        trouble: What was said when it was asked last.
        turn: When one that is put off may come round; not before `left`.
    """

    name: str
    left: timedelta
    trouble: Later
    turn: timedelta = timedelta()


@dataclass(slots=True)
class Destination:
    """One next hop.

    Attributes:
        name: Its servers, or as `Plan.destination` names it.
        limits: What it gets.
        site: Whose it is: how much at a time.
    """

    name: str
    limits: Limits
    site: Site
    _active: int = 0
    _plain: dict[str, float] = field(default_factory=dict)
    _failures: int = 0
    _failed: set[Target] = field(default_factory=set)
    _rest_until: float = float("-inf")
    _worked_at: float = float("-inf")
    _failed_at: float = float("-inf")
    _missed: set[str] = field(default_factory=set)
    _used_at: float = float("-inf")
    _round_at: float = float("-inf")
    _trouble: Later | None = None

    def unused(self) -> float:
        """Return for how many seconds nothing happened here; 0 while something does."""
        if self._active or self.resting():
            return 0.0
        return self._now() - self._used_at

    def touch(self) -> None:
        """Somebody is about to use it."""
        self._used_at = self.site.used_at = self._now()

    def resting(self) -> Rest | None:
        """Return why nobody asks here now, and how long; None if asking is worth it."""
        left = self._rest_until - self._now()
        if self._trouble is not None and left > 0:
            return Rest(self.name, timedelta(seconds=left), self._trouble)
        paused = self.site.paused()
        if paused > BRIEF:
            why = Later(CONGESTED, self.site.trouble or "the site had too much")
            return Rest(self.site.name, timedelta(seconds=paused), why)
        return None

    def in_turn(self, rest: Rest) -> Rest:
        """Return ``rest`` for one more mail that is put off.

        They come round one after the other: thousands at once would be in the way of others' mail.
        When it is back they follow at once, whatever their turn (`returned`).
        """
        latest = self._now() + LONGEST_ROUND.total_seconds()
        self._round_at = min(max(self._round_at, self._now()) + ROUND_SECONDS, latest)
        return replace(rest, turn=timedelta(seconds=self._round_at - self._now()))

    def meet(self, targets: Sequence[Target]) -> None:
        """Mail may go to ``targets`` now: one that has not failed yet ends the rest."""
        if self._failures and not self._failed.issuperset(map(_server, targets)):
            self._failures = 0
            self._rest_until = float("-inf")

    def wake(self, since: timedelta = timedelta()) -> None:
        """Somebody asked for its mail ``since`` then: it is asked now, unless it failed after that.

        So however many mails were asked for, one of them finds out.
        """
        if self._failed_at <= self._now() - since.total_seconds():
            self._rest_until = float("-inf")

    def missed(self, domain: str) -> None:
        """Mail for ``domain`` waits for it to come back."""
        if len(self._missed) < MAX_MISSED:
            self._missed.add(domain)

    def returned(self) -> tuple[str, ...]:
        """Return the domains whose mail waits for it, once, if it is back."""
        if not self._missed or self._failures or self.is_unproven:
            return ()
        missed, self._missed = tuple(self._missed), set()
        return missed

    @property
    def is_unproven(self) -> bool:
        """True if it has not worked since this process knows it."""
        return self._worked_at == float("-inf")

    @property
    def is_crowded(self) -> bool:
        """True if enough mails wait here already."""
        return self.site.waiting >= self.limits.waiting // 2

    def worked(self) -> None:
        """A server talked to us as it should."""
        self._failures = 0
        self._failed.clear()
        self._trouble = None
        self._rest_until = float("-inf")
        self._round_at = float("-inf")
        self._worked_at = self._now()
        self.site.worked()

    def failed(self, trouble: Later, targets: Sequence[Target] = ()) -> None:
        """None of ``targets`` could be talked to: rest, unless other sessions show that it lives."""
        if self._active > 1 and self._now() - self._worked_at < ALIVE_SECONDS:
            self.site.strained(trouble.reply)
            return
        if len(self._failed) > MAX_FAILED:
            self._failed.clear()
        self._failed.update(map(_server, targets))
        self._failed_at = self._now()
        if self.resting():  # it was asked before the rest began, which says so already
            return
        pause = min(self.limits.rest * 2**self._failures, self.limits.rest_max)
        self._failures = min(self._failures + 1, 16)
        self._rest_until = self._now() + pause.total_seconds()
        self._trouble = trouble
        if self.site.name == self.name:  # what many share does not suffer for one of them
            self.site.limit = 1.0

    @asynccontextmanager
    async def slot(self, party: Party = REPORTS) -> AsyncIterator[None]:
        """Wait until one more session may be used for a mail of ``party``.

        Raises:
            Crowded: Too much waits for that.
        """
        async with self.site.slot(party):
            self._active += 1
            try:
                yield
            finally:
                self._active -= 1
                self._used_at = self._now()

    def is_plain(self, target: Target) -> bool:
        """True if TLS with ``target`` has failed a short while ago."""
        return self._now() < self._plain.get(target.address, float("-inf"))

    def remember_plain(self, target: Target) -> None:
        """Spare the next mails the attempt at TLS; the failure may have been of that moment."""
        if len(self._plain) > MAX_FAILED:
            self._plain.clear()
        self._plain[target.address] = self._now() + PLAIN_SECONDS

    def _now(self) -> float:
        return self.site.hall.clock()


def _server(target: Target) -> Target:
    """Return ``target`` without its address: of those, a name may have others every time.

    And without what is demanded of the session, which may change from mail to mail.
    """
    return replace(
        target,
        address="",
        domain="",
        tls=Tls.OPPORTUNISTIC,
        demand=MAY,
        source="",
        hello="",
    )
