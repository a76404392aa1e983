"""The mailboxes that this process has in its memory, shared by its sessions and kept up to date.

A view is loaded once, then only the steps after its own are asked for. Whoever changes a mailbox
here applies the step himself (`flags_changed`, `expunged`) and spares the reading. Views that no
session holds are kept for the next login, as long as all of them together stay small.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeAlias

from imap_gateway.view.rows import OCTETS_PER_MESSAGE, Rows
from imap_gateway.view.shared import SharedView
from posthouse.storage.mailboxes import NoSuchMailbox
from posthouse.storage.messages import unpack_uids
from posthouse.storage.pool import Pool
from posthouse.storage.snapshots import (
    CHUNK_MESSAGES,
    Delta,
    changes_since,
    current_step,
    load_page,
)
from posthouse.telemetry.metrics import counter, gauge

MAX_UNHELD_MESSAGES = 1_000_000  # 28 MB
MAX_UNHELD_VIEWS = 10_000

Key: TypeAlias = tuple[int, int]  # account and mailbox

_loaded = counter("posthouse_imap_views_loaded_total", "Mailboxes read whole.")
_refreshed = counter("posthouse_imap_views_refreshed_total", "Mailboxes brought up to date.")
_held = gauge("posthouse_imap_views", "Mailboxes in memory.")


class Watcher(Protocol):
    """A session that waits for news of its mailbox."""

    def wake(self) -> None:
        """Something changed; called on the event loop, must be quick."""


class _Entry:
    """A view with its readers."""

    __slots__ = ("checked", "holders", "lock", "view", "watchers")

    def __init__(self, view: SharedView) -> None:
        self.view = view
        self.lock = asyncio.Lock()  # steps are applied one after the other
        self.holders = 0
        self.watchers: set[Watcher] = set()
        self.checked = 0.0


class Views:
    """All views of the process; `Unavailable` escapes from whatever reads."""

    def __init__(self, pool: Pool, clock: Callable[[], float]) -> None:
        self._pool = pool
        self._clock = clock
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()  # unheld ones first to go in front

    async def open(self, account: int, mailbox: int, uidvalidity: int) -> SharedView:
        """Return the view of a mailbox, up to date, and hold it; raise `NoSuchMailbox`."""
        key = (account, mailbox)
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry(SharedView(account, mailbox, uidvalidity))
            _held.set(len(self._entries))
        self._entries.move_to_end(key)
        entry.holders += 1
        try:
            await self.refresh(entry.view)
        except BaseException:
            self.release(entry.view)
            raise
        if entry.view.is_gone:
            self.release(entry.view)
            raise NoSuchMailbox("No such mailbox")
        return entry.view

    def release(self, view: SharedView) -> None:
        """Hold the view no longer."""
        entry = self._entries.get((view.account, view.mailbox))
        if entry is not None and entry.view is view:
            entry.holders -= 1
            self._trim()

    def watch(self, view: SharedView, watcher: Watcher) -> None:
        """Wake ``watcher`` when the view has changed."""
        self._entry(view).watchers.add(watcher)

    def unwatch(self, view: SharedView, watcher: Watcher) -> None:
        """End that."""
        self._entry(view).watchers.discard(watcher)

    def watched_view(self, key: Key) -> SharedView | None:
        """Return the view of a mailbox if somebody waits for it."""
        entry = self._entries.get(key)
        return entry.view if entry is not None and entry.watchers else None

    def watched(self) -> dict[Key, SharedView]:
        """Return the views that somebody waits for."""
        return {key: entry.view for key, entry in self._entries.items() if entry.watchers}

    async def refresh(self, view: SharedView, *, max_age: float = 0.0) -> None:
        """Bring the view up to date, unless that was done less than ``max_age`` seconds ago.

        A mailbox that was deleted shows in ``view.is_gone``.
        """
        entry = self._entry(view)
        if entry.checked + max_age > self._clock():
            return
        async with entry.lock:
            before = self._clock()
            try:
                await self._catch_up(entry)
            except NoSuchMailbox:
                self._gone(entry)
            entry.checked = before

    async def flags_changed(self, view: SharedView, modseq: int, packed: bytes) -> None:
        """Apply a step of our own that changed flags, or read if there were others before it."""
        entry = self._entry(view)
        async with entry.lock:
            if modseq == view.modseq + 1:
                view.change_flags(modseq, packed)
                view.reach(modseq, view.uidnext)
                _wake(entry)
                return
        await self.refresh(view)

    async def expunged(self, view: SharedView, modseq: int, uids: Sequence[int]) -> None:
        """Apply a step of our own that removed messages, likewise."""
        entry = self._entry(view)
        async with entry.lock:
            if modseq == view.modseq + 1:
                view.expunge(modseq, uids)
                view.reach(modseq, view.uidnext)
                _wake(entry)
                return
        await self.refresh(view)

    def _entry(self, view: SharedView) -> _Entry:
        entry = self._entries.get((view.account, view.mailbox))
        if entry is None or entry.view is not view:
            entry = _Entry(view)  # of a mailbox that is gone: its sessions still hold the view
        return entry

    async def _catch_up(self, entry: _Entry) -> None:
        view = entry.view
        if view.is_gone:
            return
        if not view.modseq:
            await self._load(view)
        elif await current_step(self._pool, view.account, view.mailbox) != view.modseq:
            delta = await changes_since(
                self._pool, view.account, view.mailbox, view.modseq, view.uidnext
            )
            _refreshed.inc()
            if _fits(delta, view):
                _apply(view, delta)
            else:
                await self._load(view)
            _wake(entry)

    async def _load(self, view: SharedView) -> None:
        """Read the mailbox page by page, then what changed while that went on."""
        rows = Rows()
        first = page = await load_page(self._pool, view.account, view.mailbox)
        rows.extend(page.messages, page.keywords)
        while len(page.messages) == CHUNK_MESSAGES * OCTETS_PER_MESSAGE:
            page = await load_page(self._pool, view.account, view.mailbox, rows.uids[-1] + 1)
            rows.extend(page.messages, page.keywords)
        _loaded.inc()
        view.restart(rows, first.mailbox.modseq, page.mailbox.uidnext)
        if page is not first:
            delta = await changes_since(
                self._pool, view.account, view.mailbox, view.modseq, view.uidnext
            )
            _apply(view, delta)

    def _gone(self, entry: _Entry) -> None:
        entry.view.is_gone = True
        self._entries.pop((entry.view.account, entry.view.mailbox), None)
        _held.set(len(self._entries))
        _wake(entry)

    def _trim(self) -> None:
        """Let go of views that nobody holds, the longest unused first, until they are few."""
        unheld = [(k, e) for k, e in self._entries.items() if not e.holders and not e.lock.locked()]
        weight = sum(len(entry.view.rows) for _, entry in unheld)
        for position, (key, entry) in enumerate(unheld):
            if weight <= MAX_UNHELD_MESSAGES and len(unheld) - position <= MAX_UNHELD_VIEWS:
                break
            weight -= len(entry.view.rows)
            del self._entries[key]
        _held.set(len(self._entries))


def _fits(delta: Delta, view: SharedView) -> bool:
    """True if the steps are complete and small enough to be applied one by one."""
    is_page_whole = len(delta.page.messages) < CHUNK_MESSAGES * OCTETS_PER_MESSAGE
    return is_page_whole and delta.is_complete(view.modseq)


def _apply(view: SharedView, delta: Delta) -> None:
    view.add(delta.page.messages, delta.page.keywords)
    for change in delta.changes:
        if change.kind == "f":
            view.change_flags(change.modseq, change.data)
        elif change.kind == "e":
            view.expunge(change.modseq, unpack_uids(change.data))
    view.reach(delta.page.mailbox.modseq, delta.page.mailbox.uidnext)


def _wake(entry: _Entry) -> None:
    watchers: Iterable[Watcher] = tuple(entry.watchers)
    for watcher in watchers:
        watcher.wake()
