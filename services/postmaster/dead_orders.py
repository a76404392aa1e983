"""Carrying out what an operator decides of dead letters: at a pace, watched, and again at any time.

    survey ─▶ a few letters, one transaction ─▶ published ─▶ came one back? ─▶ pace ─▶ the next few
                                                                 └ stop

A letter ends in the transaction that changes the ledger and counts in the audit, with a mark for
what is to be published (`posthouse.storage.ledger.deciding`). So whoever is killed at any point
leaves letters that have ended, whose mail the sweeper publishes, and letters that wait: run again,
the order goes on with these.

A letter of the same fingerprint as those sent, filed after the order began, stops it: the fault is
still there. What was sent has no patience left (`replaying`), so it comes back at once or never.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace

from posthouse.storage import audit, ledger
from posthouse.storage.dead_letters import returned, survey
from posthouse.storage.ledger import Place
from posthouse.telemetry import metrics
from posthouse.telemetry.logs import get_logger
from postmaster import discarding, replaying, returning
from postmaster.dead_turns import Desk, Order, Turn, Walk
from postmaster.deadletters import Kept, Verb

STEP_SECONDS = 0.5  # between two steps, unless the pace is slower than a letter in that time
MAX_STEP = 100  # letters
LOOK_EVERY_SECONDS = 0.2  # whether one has come back, at the end
WATCHED = 1000  # recipients, the latest: when they are through, nothing need be waited for

_STEPS: dict[Verb, Callable[[Desk, Order, Walk, int], Awaitable[Turn]]] = {
    "replay": replaying.step,
    "reroute": replaying.step,
    "bounce": returning.step,
    "discard": discarding.step,
}

log = get_logger()
_stopped = metrics.counter(
    "posthouse_postmaster_replays_stopped_total",
    "Replays and reroutes of dead letters that stopped because some came back",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an order is.

    Attributes:
        audit: The number of its entry.
        found: How many letters it was to concern when it began.
        seen: How many it has looked at.
        changed: How many went on.
        outlived: How many have ended because nothing was left to do for them.
        busy: How many stay because somebody works on a copy at that moment.
        kept: Which stay because it cannot be done, since the progress before.
        stopped: Why it has stopped before it was through; empty if it has not.
    """

    audit: int
    found: int
    seen: int = 0
    changed: int = 0
    outlived: int = 0
    busy: int = 0
    kept: tuple[Kept, ...] = ()
    stopped: str = ""

    def after(self, turn: Turn) -> Progress:
        """Return the progress after one more turn."""
        return replace(
            self,
            seen=self.seen + turn.seen,
            changed=self.changed + len(turn.changed),
            outlived=self.outlived + len(turn.outlived),
            busy=self.busy + turn.busy,
            kept=turn.kept,
        )


class Pace:
    """So many letters a second; time that was lost is not made up for."""

    def __init__(self, rate: float) -> None:
        """Keep to ``rate`` letters a second."""
        self._rate = rate
        self._due = time.monotonic()

    @property
    def portion(self) -> int:
        """The most letters of one step."""
        return max(1, min(MAX_STEP, int(self._rate * STEP_SECONDS)))

    def spend(self, letters: int) -> None:
        """Note that so many went."""
        self._due = max(self._due + letters / self._rate, time.monotonic())

    async def keep(self) -> None:
        """Return when the next may go."""
        await asyncio.sleep(max(0.0, self._due - time.monotonic()))


@dataclass(slots=True, kw_only=True)
class _Lookout:
    """Sees whether what was sent comes back."""

    desk: Desk
    newest: int  # letters with higher numbers were filed since
    sent: set[str] = field(default_factory=set)  # fingerprints
    latest: deque[Place] = field(default_factory=lambda: deque(maxlen=WATCHED))

    def note(self, order: Order, turn: Turn) -> None:
        if order.verb not in {"bounce", "discard"}:  # what has ended does not come back
            self.sent.update(letter.fingerprint for letter in turn.changed)
            self.latest.extend(turn.places)

    async def cry(self) -> str:
        """Return what came back, in words; nothing if nothing did."""
        if not self.sent:
            return ""
        back = await returned(self.desk.pool, self.sent, self.newest)
        return f"letters of fingerprint {back} came back" if back else ""

    async def watch(self, seconds: float) -> str:
        """Do as `cry` until something came back, all is through, or the time is over."""
        end = time.monotonic() + seconds
        while not (cry := await self.cry()) and time.monotonic() < end:
            looked = await ledger.look(self.desk.pool, tuple(self.latest))
            if not any(each.is_due for each in looked.values()):
                return await self.cry()  # it may have died since we asked
            await asyncio.sleep(LOOK_EVERY_SECONDS)
        return cry


async def carry_out(desk: Desk, order: Order) -> AsyncIterator[Progress]:
    """Do it, and yield the progress after each step; the last one tells how it ended.

    Raises:
        Unavailable: If PostgreSQL or the broker does not answer; what was changed is changed, and
            what was to be published will be.
    """
    surveyed = await survey(desk.pool, order.choice)
    found = min(surveyed.found, order.limit or surveyed.found)
    number = await audit.begin(desk.pool, order.intent(found))
    log.warning("order on dead letters began", audit=number, verb=order.verb, actor=order.actor)
    progress = Progress(audit=number, found=found)
    yield progress
    lookout, pace = _Lookout(desk=desk, newest=surveyed.newest), Pace(order.rate)
    walk: Walk | None = Walk(audit=number, through=surveyed.newest)
    stopped = ""
    while walk and progress.seen < found:
        await pace.keep()
        if stopped := await lookout.cry():
            break
        limit = min(pace.portion, found - progress.seen)
        turn = await _STEPS[order.verb](desk, order, walk, limit)
        walk, progress = turn.rest(walk, limit), progress.after(turn)
        yield progress
        lookout.note(order, turn)
        pace.spend(turn.seen)
    stopped = stopped or await lookout.watch(order.watch)
    await audit.end(desk.pool, number, stopped and f"stopped: {stopped}")
    log.warning("order on dead letters ended", audit=number, changed=progress.changed, why=stopped)
    if stopped:
        _stopped.inc()
        yield replace(progress, kept=(), stopped=stopped)
