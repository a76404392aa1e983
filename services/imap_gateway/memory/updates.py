"""News between processes: what others changed wakes our views, what we changed is told to others.

A lost notice only delays: a slow timer asks for the steps of all watched mailboxes in one query.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, defaultdict
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Protocol, TypeAlias

from imap_gateway.memory.pacing import Pace
from imap_gateway.memory.views import Views
from posthouse.mail.envelope import MailboxChanged
from posthouse.mail.errors import Unavailable
from posthouse.storage.mailboxes import current_steps
from posthouse.storage.pool import Pool
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

LOOK = timedelta(seconds=30)  # the slow timer
PAUSE = timedelta(milliseconds=50)  # between notices; of one mailbox there are fewer, see `Pace`
MAX_PENDING = 10_000  # notices not yet told to others; the oldest are dropped, which only delays
REFRESHES_AT_ONCE = 8

Key: TypeAlias = tuple[int, int]

log = get_logger()
_missed = counter("posthouse_imap_notices_missed_total", "Changes found by the slow timer alone.")
_dropped = counter("posthouse_imap_notices_dropped_total", "Notices dropped, broker too slow.")


class Teller(Protocol):
    """Who carries notices to the other processes; `posthouse.bus.publisher` does."""

    async def notify(self, changes: Sequence[MailboxChanged]) -> None:
        """Tell all gateways what changed: at most once, and never an error."""
        ...


class Listener(Protocol):
    """A session that wants to know of accounts."""

    def heard(self) -> None:
        """Something happened; called on the event loop, must be quick."""


class Updates:
    """Both directions; the methods that run for ever are duties of the service."""

    def __init__(self, pool: Pool, views: Views, teller: Teller) -> None:
        self._pool = pool
        self._views = views
        self._teller = teller
        self._stale: set[Key] = set()
        self._has_stale = asyncio.Event()
        self._pending: OrderedDict[Key, int] = OrderedDict()
        self._has_pending = asyncio.Event()
        self._pace = Pace()
        self._listeners: defaultdict[int, set[Listener]] = defaultdict(set)
        self._accounts: dict[Listener, frozenset[int]] = {}  # the same the other way round

    def listen(self, listener: Listener, accounts: Collection[int]) -> None:
        """Tell ``listener`` when something happens to these accounts, and to no others."""
        self.unlisten(listener)
        self._accounts[listener] = frozenset(accounts)
        for account in self._accounts[listener]:
            self._listeners[account].add(listener)

    def unlisten(self, listener: Listener) -> None:
        """End that."""
        for account in self._accounts.pop(listener, ()):
            self._listeners[account].discard(listener)
            if not self._listeners[account]:
                del self._listeners[account]

    def heard(self, notice: MailboxChanged) -> None:
        """Take a notice off the bus."""
        key = (notice.account, notice.mailbox)
        view = self._views.watched_view(key)
        if view is not None and view.modseq < notice.modseq:
            self._mark(key)
        for listener in tuple(self._listeners.get(notice.account, ())):
            listener.heard()

    def missed(self) -> None:
        """Notices may have been lost: look at every watched mailbox."""
        self._wake_listeners()
        for key in self._views.watched():
            self._mark(key)

    def tell(self, account: int, mailbox: int, modseq: int) -> None:
        """Tell the other processes, soon; never waits."""
        self._pending[account, mailbox] = modseq
        self._pending.move_to_end((account, mailbox))
        if len(self._pending) > MAX_PENDING:
            self._pending.popitem(last=False)
            _dropped.inc()
        self._has_pending.set()

    async def keep_telling(self) -> None:
        """Send the notices that `tell` took, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await self._has_pending.wait()
            due = self._pace.due(self._pending, loop.time())
            pending = {key: self._pending.pop(key) for key in due}
            if not self._pending:
                self._has_pending.clear()
            await self._teller.notify(
                [
                    MailboxChanged(account=a, mailbox=m, modseq=step)
                    for (a, m), step in pending.items()
                ]
            )
            await asyncio.sleep(PAUSE.total_seconds())

    async def keep_fresh(self) -> None:
        """Refresh the views that notices named, for ever."""
        while True:
            await self._has_stale.wait()
            self._has_stale.clear()
            stale, self._stale = list(self._stale), set()
            for start in range(0, len(stale), REFRESHES_AT_ONCE):
                keys = stale[start : start + REFRESHES_AT_ONCE]
                await asyncio.gather(*map(self._refresh, keys))

    async def keep_looking(self) -> None:
        """Find what no notice told of, for ever."""
        while True:
            await asyncio.sleep(LOOK.total_seconds())
            with contextlib.suppress(Unavailable):  # the next round finds it
                await self._look()

    def _wake_listeners(self) -> None:
        for listener in tuple(self._accounts):
            listener.heard()

    async def _look(self) -> None:
        self._wake_listeners()
        watched = self._views.watched()
        steps = await current_steps(self._pool, list(watched))
        for key, view in watched.items():
            if steps.get(key) != view.modseq:
                _missed.inc()
                self._mark(key)

    async def _refresh(self, key: Key) -> None:
        view = self._views.watched_view(key)
        if view is None:
            return
        try:
            await self._views.refresh(view, is_stale=True)
        except Unavailable as error:  # the slow timer comes back to it
            log.warning("mailbox not refreshed", account=key[0], mailbox=key[1], reason=str(error))

    def _mark(self, key: Key) -> None:
        self._stale.add(key)
        self._has_stale.set()
