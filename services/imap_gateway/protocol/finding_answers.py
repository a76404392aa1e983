"""What is answered to who looks for messages (RFC 3501 §7.2.5, 4466 §2.6.2, 5256 §4, 7377 §2.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from imap_gateway.protocol.finding import Returns
from imap_gateway.protocol.responses import string
from imap_gateway.protocol.sequences import write_set

NUMBERS_AT_ONCE = 2000  # are written in one go


def numbers_after(word: bytes, numbers: Sequence[int]) -> Iterator[bytes]:
    """``SEARCH`` or ``SORT`` with numbers, in pieces."""
    yield word
    for start in range(0, len(numbers), NUMBERS_AT_ONCE):
        part = tuple(numbers[start : start + NUMBERS_AT_ONCE])
        yield b" %d" * len(part) % part


def modseq_after(modseq: int | None) -> bytes:
    """``[SP "(" "MODSEQ" SP mod-sequence-value ")"]`` (RFC 7162 §7)."""
    return b"" if modseq is None else b" (MODSEQ %d)" % modseq


def esearch(
    tag: bytes, data: bytes, *, is_uid: bool, source: tuple[bytes, int] | None = None
) -> bytes:
    """``esearch-response``; ``source`` is the mailbox as it is shown, and its UIDVALIDITY, of several."""
    of = b"TAG %b" % string(tag)
    if source is not None:
        of += b" MAILBOX %b UIDVALIDITY %d" % source
    return b"ESEARCH (%b)%b%b" % (of, b" UID" if is_uid else b"", data)


def return_data(returns: Returns, numbers: Sequence[int], modseq: int | None) -> bytes:
    """``*(SP search-return-data)`` of results in their order; each begins with its space."""
    data = b""
    if numbers and returns.has_min:
        data += b" MIN %d" % numbers[0]
    if numbers and returns.has_max:
        data += b" MAX %d" % numbers[-1]
    if returns.has_count:
        data += b" COUNT %d" % len(numbers)
    if numbers and returns.has_all:
        data += b" ALL " + write_set(numbers)
    if returns.partial is not None:
        page = numbers[returns.partial.cut(len(numbers))]
        data += b" PARTIAL (%b %b)" % (
            str(returns.partial).encode(), write_set(page) if page else b"NIL",
        )  # fmt: skip
    if modseq is not None:
        data += b" MODSEQ %d" % modseq
    return data


def change_data(
    before: Sequence[int], after: Sequence[int], name: Callable[[int], int], *, is_sorted: bool
) -> bytes:
    """Return REMOVEFROM and ADDTO that make one list of UIDs the other (RFC 5267 §4.3.3, §4.3.4).

    Those in both stand in the same order. A list that is not sorted is in mailbox order, where the
    client finds the places itself. ``name`` is asked for UIDs that come or go.
    """
    kept, old = set(after), set(before)
    gone = [(at, uid) for at, uid in enumerate(before, 1) if uid not in kept]
    new = [(at, uid) for at, uid in enumerate(after, 1) if uid not in old]
    data = b""
    if gone:  # from the end, so that places before stay as they are
        data += b" REMOVEFROM (%b)" % _placed(_runs(gone)[::-1] if is_sorted else [(0, gone)], name)
    if new:
        data += b" ADDTO (%b)" % _placed(_runs(new) if is_sorted else [(0, new)], name)
    return data


def _runs(placed: Sequence[tuple[int, int]]) -> list[tuple[int, Sequence[tuple[int, int]]]]:
    """Return those that follow each other together, with the place of the first."""
    found: list[tuple[int, Sequence[tuple[int, int]]]] = []
    for _, group in groupby(enumerate(placed), lambda one: one[1][0] - one[0]):
        run = [one for _, one in group]
        found.append((run[0][0], run))
    return found


def _placed(
    runs: Sequence[tuple[int, Sequence[tuple[int, int]]]], name: Callable[[int], int]
) -> bytes:
    return b" ".join(b"%d %b" % (at, write_set(name(uid) for _, uid in run)) for at, run in runs)
