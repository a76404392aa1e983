"""One mailbox as a process knows it, shared by all sessions that have it selected.

Steps come in the order of their modseq, without a gap; each leaves an `Event`, from which every
session makes what it has to tell its client. Events are kept as long as somebody needs them, but
not more than `MAX_EVENTS`: a session that is further behind compares for itself.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from imap_gateway.view.rows import Rows

MAX_EVENTS = 1000
MAX_EVENT_UIDS = 200_000
EVENT_UID_OCTETS = 4


@dataclass(frozen=True, slots=True)
class Event:
    """What a step did.

    Attributes:
        modseq: The step.
        uids: The messages it touched, ascending where they went; 4 octets each.
        is_expunge: They went; else their flags changed.
    """

    modseq: int
    uids: array[int]
    is_expunge: bool


class SharedView:
    """A mailbox at one step.

    Attributes:
        account: Whose.
        mailbox: Its id.
        uidvalidity: Of the mailbox.
        uidnext: As of this step.
        modseq: The step.
        rows: The messages; none while they are not loaded.
        is_loaded: They are; the view knows its step all the same.
        is_gone: The mailbox was deleted.
        covered_headers: Up to this UID all headers are searchable.
        covered_bodies: Up to this UID all bodies are.
        searched_on: When it was last noted that its texts are searched.
    """

    __slots__ = ("_events", "_forgotten", "_weight", "account", "covered_bodies", "covered_headers", "is_gone", "is_loaded", "mailbox",
                 "modseq", "rows", "searched_on", "uidnext", "uidvalidity")  # fmt: skip

    def __init__(self, account: int, mailbox: int, uidvalidity: int) -> None:
        self.account = account
        self.mailbox = mailbox
        self.uidvalidity = uidvalidity
        self.uidnext = 1
        self.modseq = 0
        self.rows = Rows()
        self.is_loaded = False
        self.is_gone = False
        self.covered_headers = 0
        self.covered_bodies = 0
        self.searched_on: date | None = None
        self._events: deque[Event] = deque()
        self._weight = 0
        self._forgotten = 0  # events up to this step are no longer kept

    @property
    def key(self) -> tuple[int, int]:
        """The account and the mailbox's id."""
        return self.account, self.mailbox

    def reach(self, modseq: int, uidnext: int) -> None:
        """The view now shows this step."""
        self.modseq, self.uidnext = modseq, uidnext

    def restart(self, rows: Rows, modseq: int, uidnext: int) -> None:
        """Everything was read anew: no events tell what changed since."""
        self.unload()
        self.rows = rows
        self.is_loaded = True
        self._forgotten = modseq
        self.reach(modseq, uidnext)

    def unload(self) -> None:
        """Let go of the messages and the events, until `restart`."""
        self.rows = Rows()
        self.is_loaded = False
        self._events.clear()
        self._weight = 0

    @property
    def octets(self) -> int:
        """What messages and events take, about."""
        return self.rows.octets + self._weight * EVENT_UID_OCTETS

    def add(self, packed: bytes, keywords: str) -> None:
        """Add new messages at the end."""
        self.rows.extend(packed, keywords)

    def change_flags(self, modseq: int, packed: bytes) -> None:
        """Apply a step that changed flags."""
        self._remember(Event(modseq, self.rows.change(packed, modseq), is_expunge=False))

    def expunge(self, modseq: int, uids: Sequence[int]) -> None:
        """Apply a step that removed messages."""
        self.rows = self.rows.without(self.rows.places(uids))
        self._remember(Event(modseq, array("I", uids), is_expunge=True))

    def knows_since(self, modseq: int) -> bool:
        """True if every event after this step is kept."""
        return modseq >= self._forgotten

    def events_since(self, modseq: int) -> Iterator[Event]:
        """Yield the events after this step, the latest first."""
        for event in reversed(tuple(self._events)):
            if event.modseq <= modseq:
                return
            yield event

    def _remember(self, event: Event) -> None:
        self._events.append(event)
        self._weight += len(event.uids)
        while len(self._events) > MAX_EVENTS or self._weight > MAX_EVENT_UIDS:
            old = self._events.popleft()
            self._weight -= len(old.uids)
            self._forgotten = old.modseq
