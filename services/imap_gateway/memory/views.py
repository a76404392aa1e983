"""The mailboxes that this process has in its memory, shared by its sessions and kept up to date.

A view is loaded once, then only the steps after its own are asked for. Whoever changes a mailbox
here applies the step himself (`flags_changed`, `expunged`) and spares the reading. A view that
was dropped for want of memory (`imap_gateway.memory.shelf`) is loaded again by the next command, or news,
and the history of the mailbox gives every session the messages back that its client was told of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from imap_gateway.aside import aside
from imap_gateway.errors import Farewell
from imap_gateway.memory.loading import is_full, load
from imap_gateway.memory.shelf import MAX_OCTETS, VIEW_OCTETS, Entry, Holder, Key, Shelf, Watcher
from imap_gateway.view.position import NOTHING, News, Position
from imap_gateway.view.rows import OCTETS_PER_MESSAGE
from imap_gateway.view.shared import SharedView
from posthouse.mail.errors import Unavailable
from posthouse.storage.mailboxes import Mailbox, NoSuchMailbox
from posthouse.storage.messages import unpack_uids
from posthouse.storage.pool import Pool
from posthouse.storage.snapshots import (
    CHUNK_MESSAGES,
    Delta,
    changes_since,
    current_step,
    expunged_between,
    load_page,
)
from posthouse.telemetry.metrics import counter

LOADS = 3  # of one mailbox in a row, while it changes as fast as it is read

T = TypeVar("T")

_loaded = counter("posthouse_imap_views_loaded_total", "Mailboxes read whole.")
_refreshed = counter("posthouse_imap_views_refreshed_total", "Mailboxes brought up to date.")


class Views:
    """All views of the process; `Unavailable` escapes from whatever reads."""

    def __init__(
        self, pool: Pool, clock: Callable[[], float], *, max_octets: int = MAX_OCTETS
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._shelf = Shelf(max_octets)

    @property
    def octets(self) -> int:
        """What all views take."""
        return self._shelf.octets

    def open_ahead(self, box: Mailbox, holder: Holder) -> Position | None:
        """Return a position at ``box`` whose messages are to be recalled; None if `open` is as quick.

        So who selects a large mailbox is answered before it is read: `recall` reads it, and tells
        the messages of this moment by the history, as if the view had been here and was dropped.
        """
        entry = self._shelf.find((box.account, box.id))
        if box.exists <= CHUNK_MESSAGES or (entry is not None and entry.view.is_loaded):
            return None
        entry = entry or self._shelf.place(box.account, box.id, box.uidvalidity)
        position = Position(entry.view)
        position.stand_at(box.modseq, box.uidnext, box.exists)
        entry.positions[position] = holder
        return position

    async def open(self, box: Mailbox, holder: Holder) -> Position:
        """Return a position in the view of a mailbox, not older than ``box``; raise `NoSuchMailbox`."""
        entry = self._shelf.place(box.account, box.id, box.uidvalidity)
        entry.openers += 1
        try:
            async with entry.lock:
                await self._renew(entry, whole=True, known=box.modseq)
                if entry.view.is_gone:
                    raise NoSuchMailbox("No such mailbox")
                position = Position(entry.view)
                entry.positions[position] = holder
                return position
        finally:
            entry.openers -= 1
            self._shelf.used(entry)

    def release(self, position: Position) -> None:
        """The session has left this mailbox."""
        entry = self._shelf.entry_of(position.view)
        entry.positions.pop(position, None)
        self._shelf.used(entry)

    async def recall(self, position: Position) -> None:
        """Give a position its messages back; they stay as long as the session is at work.

        Raises `Farewell` if the history of the mailbox does not tell them any more, or if the
        mailbox is gone.
        """
        if position.is_here:
            return
        view, entry = position.view, self._shelf.entry_of(position.view)
        async with entry.lock:
            if not view.is_loaded or view.modseq < position.step:  # read just before `open_ahead`
                await self._renew(entry, whole=True)
            if view.is_gone:
                raise Farewell("The selected mailbox was deleted")
            gone = await expunged_between(
                self._pool, view.account, view.mailbox, position.step, view.modseq
            )
            if gone is None or not position.recall(gone):
                raise Farewell("The selected mailbox changed too much meanwhile")
            self._shelf.used(entry)

    def watch(self, view: SharedView, watcher: Watcher) -> None:
        """Wake ``watcher`` when the view has changed."""
        self._shelf.entry_of(view).watchers.add(watcher)

    def unwatch(self, view: SharedView, watcher: Watcher) -> None:
        """End that."""
        self._shelf.entry_of(view).watchers.discard(watcher)

    def watched_view(self, key: Key) -> SharedView | None:
        """Return the view of a mailbox if somebody waits for it."""
        entry = self._shelf.find(key)
        return entry.view if entry is not None and entry.watchers else None

    def watched(self) -> dict[Key, SharedView]:
        """Return the views that somebody waits for."""
        return self._shelf.watched()

    async def refresh(
        self,
        view: SharedView,
        *,
        max_age: float = 0.0,
        is_stale: bool = False,
        whole: bool = False,
    ) -> None:
        """Bring the view up to date, unless that was done less than ``max_age`` seconds ago.

        A dropped one is loaded if anything is new to those who idle, or with ``whole``. A mailbox that
        was deleted shows in ``view.is_gone``. With ``is_stale`` something is new: that is not asked first.
        """
        entry = self._shelf.entry_of(view)
        if entry.checked + max_age > self._clock():
            return
        async with entry.lock:
            await self._renew(entry, whole=whole, is_stale=is_stale)

    async def news(self, position: Position, *, allow_expunge: bool) -> News:
        """Return `Position.news`; much of it is found in a thread, while the view stands still."""
        if position.is_told():
            return NOTHING
        many = max(position.count, len(position.view.rows))
        async with self._shelf.entry_of(position.view).lock:  # no step meanwhile
            return await aside(many, position.news, allow_expunge=allow_expunge)

    async def flags_changed(self, view: SharedView, modseq: int, packed: bytes) -> None:
        """Apply a step of our own that changed flags, or read if there were others before it."""
        await self._apply_own(view, modseq, view.change_flags, packed)

    async def expunged(self, view: SharedView, modseq: int, uids: Sequence[int]) -> None:
        """Apply a step of our own that removed messages, likewise."""
        await self._apply_own(view, modseq, view.expunge, uids)

    async def _apply_own(
        self, view: SharedView, modseq: int, apply: Callable[[int, T], None], step: T
    ) -> None:
        entry = self._shelf.entry_of(view)
        async with entry.lock:
            if modseq == view.modseq + 1:
                await aside(len(view.rows), apply, modseq, step)
                view.reach(modseq, view.uidnext)
                self._shelf.used(entry)
                entry.wake()
                return
        await self.refresh(view)

    async def _renew(
        self, entry: Entry, *, whole: bool = False, is_stale: bool = False, known: int | None = None
    ) -> None:
        """Bring the view up to date; wake who waits if it changed, or is gone.

        With ``whole`` the messages are there afterwards, even if nothing is new. What is the latest
        step is not asked where it is ``known``.
        """
        if entry.view.is_gone:
            return
        before = self._clock()
        try:
            if whole and not entry.view.is_loaded:
                is_changed = await self._load(entry)
            else:
                is_changed = await self._catch_up(entry, is_stale=is_stale, known=known)
        except NoSuchMailbox:
            entry.view.is_gone = is_changed = True
            self._shelf.remove(entry)
        entry.checked = before
        if is_changed:
            self._shelf.used(entry)
            entry.wake()

    async def _catch_up(self, entry: Entry, *, is_stale: bool, known: int | None) -> bool:
        view, step = entry.view, entry.view.modseq
        if not (is_stale and view.is_loaded):
            latest = known or await current_step(self._pool, view.account, view.mailbox)
            if latest <= step:
                return False
        if not view.is_loaded:
            return await self._load(entry)
        delta = await changes_since(
            self._pool, view.account, view.mailbox, view.modseq, view.uidnext
        )
        _refreshed.inc()
        if not _fits(delta, step):
            return await self._load(entry)
        await aside(len(view.rows), _apply, view, delta)
        return view.modseq != step

    async def _load(self, entry: Entry) -> bool:
        """Read the mailbox whole, then what changed while that went on."""
        view = entry.view
        for _ in range(LOADS):
            first = await load_page(self._pool, view.account, view.mailbox)
            box = first.mailbox
            self._shelf.make_room(entry, VIEW_OCTETS + box.exists * OCTETS_PER_MESSAGE)
            rows = await load(self._pool, first)
            _loaded.inc()
            if not is_full(first):
                view.restart(rows, box.modseq, box.uidnext)
                return True
            delta = await changes_since(self._pool, *view.key, box.modseq, box.uidnext)
            if _fits(delta, box.modseq):
                view.restart(rows, box.modseq, box.uidnext)
                await aside(len(rows), _apply, view, delta)
                return True
        raise Unavailable("mailbox is busy", detail="IMAP: it changed more than can be followed")


def _fits(delta: Delta, since: int) -> bool:
    """True if the steps after ``since`` are complete and few enough to be applied one by one."""
    return not is_full(delta.page) and delta.is_complete(since)


def _apply(view: SharedView, delta: Delta) -> None:
    view.add(delta.page.messages, delta.page.keywords)
    for change in delta.changes:
        if change.kind == "f":
            view.change_flags(change.modseq, change.data)
        elif change.kind == "e":
            view.expunge(change.modseq, unpack_uids(change.data))
    view.reach(delta.page.mailbox.modseq, delta.page.mailbox.uidnext)
