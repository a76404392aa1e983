r"""The flags of a mailbox as a guest has them: all are the mailbox's, but ``\Seen`` is its own.

The column is made when it is first asked for, and again after each step of the view.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence

from imap_gateway.view.flags import SEEN
from imap_gateway.view.rows import Rows

_UNSEEN = bytes(octet & ~SEEN for octet in range(256))  # of a word's lowest octet; the others are 0
_SEEN_WORD = array("I", [SEEN]).tobytes()


class ReaderFlags:
    r"""What one guest has read of one mailbox.

    Attributes:
        step: The step of the mailbox at which that was so; -1 before it is known.
    """

    __slots__ = ("_column", "_ranges", "_rows", "_view_step", "step")

    def __init__(self) -> None:
        self.step = -1
        self._ranges: Sequence[tuple[int, int]] = ()
        self._column = array("I")
        self._rows: Rows | None = None
        self._view_step = -1

    def know(self, step: int, ranges: Sequence[tuple[int, int]]) -> None:
        """These UIDs, from the first to before the last, are read."""
        self.step, self._ranges = step, ranges
        self.forget()

    def forget(self) -> None:
        """Let go of the column."""
        self._column, self._rows = array("I"), None

    def column(self, rows: Rows, step: int) -> array[int]:
        """Return the flags of ``rows``, which show the mailbox at ``step``."""
        if self._rows is not rows or self._view_step != step or len(self._column) != len(rows):
            self._column = self._made(rows)
            self._rows, self._view_step = rows, step
        return self._column

    def _made(self, rows: Rows) -> array[int]:
        flags = array("I")
        flags.frombytes(rows.flags.tobytes().translate(_UNSEEN))
        for first, last in self._ranges:
            start = bisect_left(rows.uids, first)
            end = bisect_left(rows.uids, last, start)
            flags[start:end] = _with_seen(flags[start:end])
        return flags

    def first_unseen(self, rows: Rows) -> int:
        """Return the place of the first message that is not read, -1 if all are."""
        at = 0
        for first, last in self._ranges:
            if at < len(rows) and rows.uids[at] < first:
                break
            at = bisect_left(rows.uids, last, at)
        return at if at < len(rows) else -1


def _with_seen(flags: array[int]) -> array[int]:
    """Set the flag on all at once: a million words are one large number."""
    before = flags.tobytes()
    seen = int.from_bytes(_SEEN_WORD * len(flags), "little") | int.from_bytes(before, "little")
    after = array("I")
    after.frombytes(seen.to_bytes(len(before), "little"))
    return after
