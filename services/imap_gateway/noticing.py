"""What a session wants to hear of without asking, and what it was told of (RFC 5465).

Notices of the bus only say that something happened to an account; what it was a session finds by
looking at its mailboxes again. Notices that come while it looks make it look once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from imap_gateway.protocol.notify_grammar import OF_SELECTED, Event, Group, Which
from imap_gateway.view.notices import ALL_MESSAGE_EVENTS, State

Entries = Mapping[
    tuple[int, int], Mapping[str, bytes]
]  # digests of metadata, by account and mailbox


REST = 4  # times as long as a look has taken: who watches a lot in a storm takes a fifth of the process


class Waker(Protocol):
    """Who has the session at work."""

    def wake(self) -> None:
        """Something happened; called on the event loop, must be quick."""


@dataclass(eq=False, slots=True, kw_only=True)
class Noticing:
    """What NOTIFY has set.

    Attributes:
        waker: The session's connection.
        groups: What is of interest.
        accounts: Whose mailboxes are among them.
        known: The mailboxes as the client was last told of them, by name.
        entries: What tells whether their metadata changed, if that is of interest.
        own: UIDs that the session itself brought into the selected mailbox since it was told of new ones.
        is_stale: Something happened since.
        rests_until: No look before that moment of the event loop.
        is_resting: The session is woken then.
    """

    waker: Waker
    groups: tuple[Group, ...]
    accounts: set[int] = field(default_factory=set)
    known: dict[str, State] = field(default_factory=dict)
    entries: Entries = field(default_factory=dict)
    own: list[range] = field(default_factory=list)
    is_stale: bool = False
    rests_until: float = 0.0
    is_resting: bool = False

    @property
    def selected(self) -> Group | None:
        """What is of interest in the selected mailbox."""
        return next((group for group in self.groups if group.which in OF_SELECTED), None)

    @property
    def looks_elsewhere(self) -> bool:
        """Other mailboxes are of interest."""
        return any(group.which not in OF_SELECTED and group.events for group in self.groups)

    @property
    def wants_metadata(self) -> bool:
        """Annotations are of interest."""
        wanted = {Event.MAILBOX_METADATA, Event.SERVER_METADATA}
        return any(group.events & wanted for group in self.groups)

    @property
    def is_delayed(self) -> bool:
        """Expunges are told while a command runs that allows it (§6.1.2)."""
        return self.selected is not None and self.selected.which is Which.SELECTED_DELAYED

    def take_own(self) -> list[range]:
        """Return `own`, and begin anew."""
        own, self.own = self.own, []
        return own

    def looked(self, since: float) -> None:
        """A look has ended that began then: the next one waits a while, in proportion."""
        now = asyncio.get_running_loop().time()
        self.rests_until = now + REST * (now - since)

    def must_rest(self) -> bool:
        """Say whether it is too early for a look; the session is woken when it is not."""
        loop = asyncio.get_running_loop()
        if loop.time() >= self.rests_until:
            return False
        if not self.is_resting:
            self.is_resting = True
            loop.call_at(self.rests_until, self._rested)
        return True

    def _rested(self) -> None:
        self.is_resting = False
        self.waker.wake()

    def heard(self) -> None:
        """Something happened to one of the accounts."""
        self.is_stale = True
        self.waker.wake()


def selected_events(noticing: Noticing | None) -> frozenset[Event]:
    """Return what the client is to be told of its selected mailbox; without NOTIFY, everything."""
    if noticing is None:
        return ALL_MESSAGE_EVENTS
    return noticing.selected.events if noticing.selected is not None else frozenset()
