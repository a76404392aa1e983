"""What we know of one next hop: its sessions, how many it bears, whether it is worth asking.

One process sees all mail for a destination (its shard has one consumer), so this needs no shared
state. A destination that bears little must not take the places of others: who would wait in a
long line for a session is sent back at once (`is_crowded`), and while a destination rests nobody
asks it (`resting`).

    limit    sessions at once: grows by success, halves by refusal, 1 after a rest
    rest     after all its servers failed: `Limits.rest`, doubled each time up to `Limits.rest_max`;
             those that fail together count once; a success ends it, and so does a way to a server
             that has not failed yet (`meet`): a new route, another MX
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

from delivery_remote.routes import Target, Tls
from delivery_remote.security.proofs import MAY
from delivery_remote.session import Session
from delivery_remote.trouble import Later
from posthouse.telemetry.metrics import counter

FIRST_LIMIT = 5.0  # sessions at once with a destination nothing is known of
FIRST_REST = timedelta(seconds=30)
LONGEST_REST = timedelta(minutes=5)
MAX_MISSED = 1000  # domains of one site whose mail follows when it is back
MAX_FAILED = 100  # servers of a destination; MX may name others every time
ALIVE_SECONDS = 60.0  # how long a success proves that the destination lives

_reused = counter("posthouse_remote_sessions_reused_total", "Transactions on a session kept open")

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one destination gets.

    Attributes:
        sessions: At once.
        waiting: Mails that wait for a session here; more are sent back to the broker.
        transactions: Per session.
        idle: How long a session is kept open unused.
        lifetime: How long a session is used.
        rest: First pause after all servers failed.
        rest_max: Longest pause.
        idle_sessions: Kept open in the whole process.
    """

    sessions: int = 20
    waiting: int = 20
    transactions: int = 100
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
    """

    name: str
    left: timedelta
    trouble: Later


@dataclass(slots=True)
class Destination:
    """One next hop; `Destinations.lane` is the way to it.

    Attributes:
        name: As `Plan.destination` names it.
        limit: Sessions at once that it seems to bear.
    """

    name: str
    limits: Limits
    clock: Clock
    limit: float = FIRST_LIMIT
    _active: int = 0
    _waiters: deque[asyncio.Future[None]] = field(default_factory=deque)
    _idle: list[tuple[float, Session]] = field(default_factory=list)
    _plain: set[str] = field(default_factory=set)
    _failures: int = 0
    _failed: set[Target] = field(default_factory=set)
    _rest_until: float = float("-inf")
    _worked_at: float = float("-inf")
    _failed_at: float = float("-inf")
    _missed: set[str] = field(default_factory=set)
    _used_at: float = float("-inf")
    _trouble: Later | None = None

    @property
    def is_crowded(self) -> bool:
        """True if enough mails wait here already."""
        return len(self._waiters) >= self.limits.waiting

    @property
    def is_full(self) -> bool:
        """True if the next mail would have to wait."""
        return self._active >= int(self.limit)

    def unused(self) -> float:
        """Return for how many seconds nothing happened here; 0 while something does."""
        if self._active or self._waiters or self._idle or self.resting():
            return 0.0
        return self.clock() - self._used_at

    def touch(self) -> None:
        """Somebody is about to use it."""
        self._used_at = self.clock()

    def resting(self) -> Rest | None:
        """Return why nobody asks here now, and how long; None if asking is worth it."""
        left = self._rest_until - self.clock()
        if self._trouble is None or left <= 0:
            return None
        return Rest(self.name, timedelta(seconds=left), self._trouble)

    def meet(self, targets: Sequence[Target]) -> None:
        """Mail may go to ``targets`` now: one that has not failed yet ends the rest."""
        if self._failures and not self._failed.issuperset(map(_server, targets)):
            self._failures = 0
            self._rest_until = float("-inf")

    def wake(self, since: timedelta = timedelta()) -> None:
        """Somebody asked for its mail ``since`` then: it is asked now, unless it failed after that.

        So however many mails were asked for, one of them finds out.
        """
        if self._failed_at <= self.clock() - since.total_seconds():
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

    def worked(self) -> None:
        """A server talked to us as it should."""
        self._failures = 0
        self._failed.clear()
        self._trouble = None
        self._rest_until = float("-inf")
        self._worked_at = self.clock()
        self.limit = min(self.limit + 1, float(self.limits.sessions))

    def strained(self) -> None:
        """A server refused because there is too much; others of our sessions go on."""
        self.limit = max(1.0, self.limit / 2)

    def failed(self, trouble: Later, targets: Sequence[Target] = ()) -> None:
        """None of ``targets`` could be talked to: rest, unless other sessions show that it lives."""
        if self._active > 1 and self.clock() - self._worked_at < ALIVE_SECONDS:
            self.strained()
            return
        if len(self._failed) > MAX_FAILED:
            self._failed.clear()
        self._failed.update(map(_server, targets))
        self._failed_at = self.clock()
        if self.resting():  # it was asked before the rest began, which says so already
            return
        pause = min(self.limits.rest * 2**self._failures, self.limits.rest_max)
        self._failures = min(self._failures + 1, 16)
        self._rest_until = self.clock() + pause.total_seconds()
        self._trouble = trouble
        self.limit = 1.0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait until one more session may be used."""
        while self.is_full:
            turn = asyncio.get_running_loop().create_future()
            self._waiters.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._wake()
                raise
            finally:
                if turn in self._waiters:
                    self._waiters.remove(turn)
        self._active += 1
        try:
            yield
        finally:
            self._active -= 1
            self._used_at = self.clock()
            self._wake()

    def take(self, target: Target) -> Session | None:
        """Return an open session with ``target``, the one used last, if there is a good one."""
        for at in range(len(self._idle) - 1, -1, -1):
            _, session = self._idle[at]
            if session.target == target and session.is_usable:
                del self._idle[at]
                _reused.inc()
                return session
        return None

    def keep(self, session: Session) -> None:
        """Keep an open session for the next mail."""
        self._idle.append((self.clock(), session))

    def outdated(self, *, everything: bool = False) -> list[Session]:
        """Take out the sessions that were idle for too long or are of no use any more."""
        oldest = self.clock() - self.limits.idle.total_seconds()
        old = [
            session
            for since, session in self._idle
            if everything or since < oldest or not session.is_usable
        ]
        self._idle = [kept for kept in self._idle if kept[1] not in old]
        return old

    def is_plain(self, target: Target) -> bool:
        """True if TLS with ``target`` has failed before."""
        return target.address in self._plain

    def remember_plain(self, target: Target) -> None:
        """Spare the next mails the attempt at TLS."""
        self._plain.add(target.address)

    @property
    def idle_count(self) -> int:
        """How many sessions are kept open."""
        return len(self._idle)

    def _wake(self) -> None:
        free = int(self.limit) - self._active
        while self._waiters and free > 0:
            turn = self._waiters.popleft()
            if not turn.done():
                turn.set_result(None)
                free -= 1


def _server(target: Target) -> Target:
    """Return ``target`` without its address: of those, a name may have others every time.

    And without what is demanded of the session, which may change from mail to mail.
    """
    return replace(target, address="", tls=Tls.OPPORTUNISTIC, demand=MAY, source="", hello="")
