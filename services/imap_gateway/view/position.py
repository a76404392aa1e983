r"""What one session was told of its mailbox, and what it has to be told next (RFC 3501 §7.4.1).

Sequence numbers count the messages that the client knows of, not those that are there: they stay
as they are until `news` was allowed to tell of expunges.

While its session idles a position may `forget` the messages: what the client was told of are those
that existed at one step, below one UID, so the history of the mailbox brings them back (`recall`).
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from imap_gateway.view.hits import mark, places_of
from imap_gateway.view.reading import ReaderFlags
from imap_gateway.view.rows import Rows
from imap_gateway.view.shared import SharedView

READ_AHEAD = 32  # messages
NONE_SAVED = array("I")  # shared: it is only ever replaced


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What is to be told, in this order.

    Attributes:
        expunged: Sequence numbers, each as it is when its turn comes: from the highest down.
        vanished: The UIDs of these messages, from the highest down too.
        exists: The number of messages, None if it is as the client knows it.
        new_uids: The UIDs from the first to before the last that came; empty range if none.
        changed: Indexes into the told messages, of those whose flags changed.
    """

    expunged: tuple[int, ...] = ()
    vanished: tuple[int, ...] = ()
    exists: int | None = None
    new_uids: tuple[int, int] = (0, 0)
    changed: tuple[int, ...] = ()


NOTHING = News()


class Position:
    r"""The session's place in a `SharedView`.

    Attributes:
        view: Shared with others.
        count: How many messages the client knows of.
        is_behind: It was told that there is more to come of earlier steps (RFC 7162 §3.2).
        is_here: False from `forget` to `recall`: the messages must not be asked for.
        recent: Ranges of UIDs, first to before last, that are ``\Recent`` to this session.
        seen: What a guest has read, None for an owner, whose flag is the messages'.
        saved: UIDs that ``$`` stands for, ascending (RFC 5182); some may be gone.
    """

    __slots__ = ("_expunged_to", "_flags_to", "_last_read", "_own", "_rows", "_stride", "_uidnext",
                 "_untold", "count", "is_behind", "is_here", "recent", "saved", "seen", "view")  # fmt: skip

    def __init__(self, view: SharedView) -> None:
        self.view = view
        self._rows = view.rows
        self.count = len(view.rows)
        self.is_here = True
        self.is_behind = False
        self._last_read = self._stride = 0
        self.recent: tuple[tuple[int, int], ...] = ()
        self.seen: ReaderFlags | None = None
        self.saved = NONE_SAVED
        self._flags_to = view.modseq
        self._expunged_to = view.modseq
        self._uidnext = view.uidnext
        self._own: set[int] | None = None  # of thousands who idle none has any
        self._untold: set[int] | None = None  # UIDs whose flags could not be told in their turn

    @property
    def step(self) -> int:
        """The modseq at which the messages existed that the client knows of."""
        return self._expunged_to

    @property
    def uidnext(self) -> int:
        """All messages that the client knows of have lower UIDs."""
        return self._uidnext

    @property
    def own_rows(self) -> Rows | None:
        """The rows that are kept for this position, when they are not the view's."""
        return None if self.is_current() or not self.is_here else self._rows

    def forget(self) -> None:
        """Let go of the messages."""
        self._rows = Rows()
        self.is_here = False
        if self.seen is not None:
            self.seen.forget()

    def stand_at(self, step: int, uidnext: int, count: int) -> None:
        """Stand at a step of a mailbox that is not read yet; `recall` brings the messages."""
        self._flags_to = self._expunged_to = step
        self._uidnext, self.count = uidnext, count
        self.forget()

    def recall(self, gone: Sequence[int]) -> bool:
        """Know the messages again; ``gone`` are those expunged from `step` on, ascending.

        Returns False if these are not the messages that the client was told of.
        """
        here = self.view.rows
        end = bisect_left(here.uids, self._uidnext)
        missing = gone[: bisect_left(gone, self._uidnext)]
        self._rows = here if not missing else _with(here.uids, end, missing)
        self.is_here = end + len(missing) == self.count
        return self.is_here

    @property
    def uids(self) -> Sequence[int]:
        """The UIDs that the client's sequence numbers stand for."""
        uids = self._rows.uids
        return uids if len(uids) == self.count else uids[: self.count]

    def flags_of(self, rows: Rows) -> array[int]:
        """Return the flags of the view's ``rows`` as this session has them."""
        return rows.flags if self.seen is None else self.seen.column(rows, self.view.modseq)

    def is_current(self) -> bool:
        """True if no message the client knows of was expunged."""
        return self._rows is self.view.rows

    def uid(self, index: int) -> int:
        """Return the UID of the message with the sequence number ``index + 1``."""
        return self._rows.uids[index]

    def uids_of(self, indexes: Sequence[int]) -> list[int]:
        """Return the UIDs of these messages; quickly where they are a range."""
        uids = self._rows.uids
        if isinstance(indexes, range) and indexes.step == 1:
            return uids[indexes.start : indexes.stop].tolist()
        return [uids[index] for index in indexes]

    def index(self, uid: int) -> int:
        """Return the index of ``uid`` among the told messages, -1 if it is none."""
        at = bisect_left(self._rows.uids, uid, 0, self.count)
        return at if at < self.count and self._rows.uids[at] == uid else -1

    def saved_indexes(self) -> Sequence[int]:
        """Return the indexes of the messages that ``$`` stands for, of those that are known."""
        if len(self.saved) == self.count and self.uids == self.saved:
            return range(self.count)
        return [index for index in map(self.index, self.saved) if index >= 0]

    def follow(self, index: int) -> range:
        """Note that one message is read alone; return which will be next if it goes on so.

        Clients that read one by one do so in order, up or down.
        """
        stride, before = index - self._last_read, self._stride
        self._last_read, self._stride = index, stride
        if not stride or (stride != before and abs(stride) != 1):
            return range(0)
        end = index + stride * (READ_AHEAD + 1)
        return range(index + stride, max(min(end, self.count), -1), stride)

    def row(self, index: int) -> int:
        """Return where the message is in ``view.rows`` now; -1 if it was expunged."""
        return index if self.is_current() else self.view.rows.find(self._rows.uids[index])

    def is_recent(self, uid: int) -> bool:
        r"""True if the message is ``\Recent`` in this session."""
        return any(first <= uid < last for first, last in self.recent)

    def claim(self, first: int, last: int) -> None:
        r"""Make the UIDs from ``first`` to before ``last`` ``\Recent`` in this session."""
        if self.recent and self.recent[-1][1] == first:
            self.recent = (*self.recent[:-1], (self.recent[-1][0], last))
        elif first < last:
            self.recent = (*self.recent, (first, last))

    def recent_count(self) -> int:
        r"""Return how many of the told messages are ``\Recent``."""
        return sum(
            bisect_left(self._rows.uids, last, 0, self.count)
            - bisect_left(self._rows.uids, first, 0, self.count)
            for first, last in self.recent
        )

    def tells_itself(self, modseq: int) -> None:
        """The session has told its client of this step already."""
        self._own = {modseq, *(self._own or ())}

    def tell_again(self, indexes: Sequence[int]) -> None:
        """The flags of these messages were not told after all: they are news once more."""
        self._untold = {*map(self.uid, indexes), *(self._untold or ())}

    def is_told(self) -> bool:
        """True if the client knows everything."""
        is_same = self._flags_to == self.view.modseq and not self._untold
        return is_same and self.is_current() and len(self._rows) == self.count

    def news(self, *, allow_expunge: bool) -> News:
        """Return what the client does not know yet; from now on it does."""
        if self.is_told():
            return NOTHING
        changed = self._changed()
        if self.is_current():
            self._expunged_to = self.view.modseq
            return self._arrivals((), (), changed)
        if not allow_expunge:  # arrivals wait too: their numbers would count messages that went
            return News(changed=changed)
        before = self._rows
        expunged = self._gone()
        vanished = tuple(before.uids[number - 1] for number in expunged)
        kept = [self._rows.find(before.uids[index]) for index in changed]
        return self._arrivals(expunged, vanished, tuple(index for index in kept if index >= 0))

    def _arrivals(
        self, expunged: tuple[int, ...], vanished: tuple[int, ...], changed: tuple[int, ...]
    ) -> News:
        exists, first = None, self._uidnext
        if len(self._rows) != self.count:
            exists = self.count = len(self._rows)
        self._uidnext = self.view.uidnext
        new = (first, self._uidnext) if exists is not None else (0, 0)
        return News(
            expunged=expunged, vanished=vanished, exists=exists, new_uids=new, changed=changed
        )

    def _changed(self) -> tuple[int, ...]:
        """Return indexes of messages whose flags others changed since the client was told."""
        since, self._flags_to = self._flags_to, self.view.modseq
        own, self._own = {step for step in self._own or () if step > since}, None
        uids, self._untold = self._untold, None
        marks = bytearray(self.count)
        mark(marks, self._rows.uids, uids or ())
        if len(own) == self.view.modseq - since:
            pass  # all steps were its own, or there were none
        elif self.view.knows_since(since):
            for event in self.view.events_since(since):
                if not event.is_expunge and event.modseq not in own:
                    mark(marks, self._rows.uids, event.uids)
        else:
            rows = self.view.rows
            steps = zip(rows.uids, rows.modseqs, strict=True)
            mark(marks, self._rows.uids, (uid for uid, step in steps if step > since))
        return tuple(places_of(marks))

    def _gone(self) -> tuple[int, ...]:
        """Move to the current rows; return the sequence numbers that went, the highest first."""
        marks, since, left = bytearray(self.count), self._expunged_to, self.view.rows
        if self.view.knows_since(since):
            for event in self.view.events_since(since):
                if event.is_expunge:
                    mark(marks, self._rows.uids, event.uids)
        else:
            marks[:] = b"\1" * self.count
            for at in self._rows.places(left.uids):
                if at >= self.count:
                    break
                marks[at] = 0
        places = list(places_of(marks))
        self._rows, self._expunged_to = left, self.view.modseq
        self.count -= len(places)
        return tuple(at + 1 for at in reversed(places))


def _with(uids: array[int], end: int, missing: Sequence[int]) -> Rows:
    """Return rows of UIDs alone: those before ``end`` and the missing ones between them."""
    rows, start = Rows(), 0
    for uid in missing:
        at = bisect_left(uids, uid, start, end)
        rows.uids.extend(uids[start:at])
        rows.uids.append(uid)
        start = at
    rows.uids.extend(uids[start:end])
    return rows


def message_rows(
    position: Position, indexes: Sequence[int]
) -> tuple[Rows, Sequence[int], Sequence[int]]:
    """Return the current rows, those of ``indexes`` that are still there, and their places."""
    rows = position.view.rows
    if position.is_current():
        return rows, indexes, indexes
    told: list[int] = []
    places: list[int] = []
    uids, next_ = rows.uids, 0
    for index in indexes:
        uid = position.uid(index)
        if next_ >= len(uids) or uids[next_] != uid:  # mostly neighbours follow each other
            next_ = bisect_left(uids, uid)
        if next_ < len(uids) and uids[next_] == uid:
            told.append(index)
            places.append(next_)
            next_ += 1
    return rows, told, places
