"""What a client says that it knows of a mailbox when it opens it (RFC 7162 §3.2.5)."""

from __future__ import annotations

from dataclasses import dataclass

from imap_gateway.protocol.cursor import BadSyntax, Cursor
from imap_gateway.protocol.sequences import STAR, SequenceSet, sequence_set

NOBODY = SequenceSet(())


@dataclass(frozen=True, slots=True, kw_only=True)
class Resync:
    """``QRESYNC (uidvalidity modseq [known-uids] [(numbers uids)])``.

    Attributes:
        uidvalidity: Of the mailbox that it knows.
        modseq: The step that it knows.
        known: The UIDs that it asks about, None for all.
        numbers: Sequence numbers of some messages; as many as `uids`.
        uids: The UIDs of these messages.
    """

    uidvalidity: int
    modseq: int
    known: SequenceSet | None = None
    numbers: SequenceSet = NOBODY
    uids: SequenceSet = NOBODY


def qresync(cursor: Cursor) -> Resync:
    """``SP "(" uidvalidity SP mod-sequence-value [SP known-uids] [SP seq-match-data] ")"``."""
    cursor.expect(b" (")
    uidvalidity = cursor.nz_number()
    cursor.space()
    modseq, known = cursor.number64(), None
    numbers = uids = NOBODY
    is_more = cursor.skip(b" ")
    if is_more and cursor.peek() != 0x28:
        known = _known_set(cursor)
        is_more = cursor.skip(b" ")
    if is_more:
        numbers, uids = _seq_match_data(cursor)
    cursor.expect(b")")
    return Resync(uidvalidity=uidvalidity, modseq=modseq, known=known, numbers=numbers, uids=uids)


def _seq_match_data(cursor: Cursor) -> tuple[SequenceSet, SequenceSet]:
    """``"(" known-sequence-set SP known-uid-set ")"``: both ascending, and as many."""
    cursor.expect(b"(")
    numbers = _ascending_set(cursor)
    cursor.space()
    uids = _ascending_set(cursor)
    cursor.expect(b")")
    if _count(numbers) != _count(uids):
        raise BadSyntax("not as many UIDs as sequence numbers")
    return numbers, uids


def _ascending_set(cursor: Cursor) -> SequenceSet:
    found, last = _known_set(cursor), 0
    for first, end in found.ranges:
        if first <= last or end < first:
            raise BadSyntax("not in ascending order")
        last = end
    return found


def _known_set(cursor: Cursor) -> SequenceSet:
    """``sequence-set`` without ``*``."""
    found = sequence_set(cursor)
    if any(STAR in pair for pair in found.ranges):
        raise BadSyntax("* is not allowed here")
    return found


def _count(numbers: SequenceSet) -> int:
    return sum(last - first + 1 for first, last in numbers.ranges)
