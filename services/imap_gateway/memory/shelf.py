"""The views of a process on one shelf, which carries no more than a budget of octets.

Over it the longest unused views are dropped of which no session is at work. A dropped view forgets
its messages, and so do the positions of its sessions, which take a few numbers then.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Protocol, TypeAlias

from imap_gateway.view.position import Position
from imap_gateway.view.shared import SharedView
from posthouse.mail.errors import Unavailable
from posthouse.telemetry.metrics import counter, gauge

MAX_OCTETS = 256 * 1024 * 1024
VIEW_OCTETS = 2000  # what a view costs beside its messages

Key: TypeAlias = tuple[int, int]  # account and mailbox

_dropped = counter("posthouse_imap_views_dropped_total", "Mailboxes dropped from memory.")
_held = gauge("posthouse_imap_views", "Mailboxes in memory.")
_octets = gauge("posthouse_imap_views_octets", "What they take.")


class Holder(Protocol):
    """A session that has a mailbox open."""

    @property
    def is_idle(self) -> bool:
        """No command is at work: the mailbox may be dropped from memory."""


class Watcher(Protocol):
    """A session that waits for news of its mailbox."""

    def wake(self) -> None:
        """Something changed; called on the event loop, must be quick."""


class Entry:
    """A view with its sessions.

    Attributes:
        view: What they share.
        lock: Steps are applied one after the other.
        positions: Of those that have it open.
        watchers: Those that wait for news.
        openers: How many are about to open it.
        checked: When it was last known to be up to date.
        octets: What it took when it was last weighed.
    """

    __slots__ = ("checked", "lock", "octets", "openers", "positions", "view", "watchers")

    def __init__(self, view: SharedView) -> None:
        self.view = view
        self.lock = asyncio.Lock()
        self.positions: dict[Position, Holder] = {}
        self.watchers: set[Watcher] = set()
        self.openers = 0
        self.checked = 0.0
        self.octets = 0

    @property
    def key(self) -> Key:
        """Its place on the shelf."""
        return self.view.account, self.view.mailbox

    @property
    def is_idle(self) -> bool:
        """Nobody is at work here."""
        if self.openers or self.lock.locked():
            return False
        return all(holder.is_idle for holder in self.positions.values())

    def weigh(self) -> int:
        """Return what it takes, with the older messages that sessions have yet to be told of."""
        own = {id(rows): rows for p in self.positions if (rows := p.own_rows) is not None}
        kept = self.view.octets + sum(rows.octets for rows in own.values())
        return VIEW_OCTETS + kept if self.view.is_loaded or own else 0

    def forget_idle(self) -> None:
        """Let go of the messages; whoever is at work keeps his own until the end."""
        for position, holder in self.positions.items():
            if holder.is_idle:
                position.forget()
        self.view.unload()

    def wake(self) -> None:
        """Tell those who wait."""
        for watcher in tuple(self.watchers):
            watcher.wake()


class Shelf:
    """All views of the process."""

    def __init__(self, max_octets: int) -> None:
        self._max = max_octets
        self._sum = 0
        self._entries: dict[Key, Entry] = {}
        self._weighty: OrderedDict[Key, Entry] = OrderedDict()  # the longest unused first

    @property
    def octets(self) -> int:
        """What all views take."""
        return self._sum

    def find(self, key: Key) -> Entry | None:
        """Return the entry of a mailbox."""
        return self._entries.get(key)

    def watched(self) -> dict[Key, SharedView]:
        """Return the views that somebody waits for."""
        return {key: entry.view for key, entry in self._entries.items() if entry.watchers}

    def place(self, account: int, mailbox: int, uidvalidity: int) -> Entry:
        """Return the entry of a mailbox, a new one if there is none."""
        entry = self._entries.get((account, mailbox))
        if entry is None:
            entry = Entry(SharedView(account, mailbox, uidvalidity))
            self._entries[entry.key] = entry
        return entry

    def entry_of(self, view: SharedView) -> Entry:
        """Return the entry of a view; a passing one for a mailbox that is gone."""
        entry = self._entries.get((view.account, view.mailbox))
        return entry if entry is not None and entry.view is view else Entry(view)

    def remove(self, entry: Entry) -> None:
        """The mailbox was deleted."""
        if self._entries.get(entry.key) is entry:
            del self._entries[entry.key]
            self._set(entry, 0)
        entry.forget_idle()

    def used(self, entry: Entry) -> None:
        """The view was used and may take more or less now; drop others if all take too much."""
        if self._entries.get(entry.key) is not entry:
            return
        self._set(entry, entry.weigh())
        if not entry.octets and not entry.positions and not entry.openers:
            del self._entries[entry.key]
        self._drop(self._max)
        _held.set(len(self._weighty))
        _octets.set(self._sum)

    def make_room(self, entry: Entry, octets: int) -> None:
        """Drop others for a view that will take so much; raise `Unavailable` if that does not do.

        A view that is larger than the budget comes when no other is at work.
        """
        self._drop(self._max - octets + entry.octets)
        others = self._sum - entry.octets
        if others and others + octets > self._max:
            raise Unavailable("too busy", detail=f"IMAP: mailboxes in use take {others} octets")

    def _set(self, entry: Entry, octets: int) -> None:
        self._sum += octets - entry.octets
        entry.octets = octets
        self._weighty.pop(entry.key, None)
        if octets:
            self._weighty[entry.key] = entry

    def _drop(self, limit: int) -> None:
        """Drop what nobody is at work with until all take no more than so much."""
        if self._sum <= limit:
            return
        for entry in tuple(self._weighty.values()):
            if not entry.is_idle:
                continue
            self._set(entry, 0)
            entry.forget_idle()
            if not entry.positions:
                del self._entries[entry.key]
            _dropped.inc()
            if self._sum <= limit:
                return
