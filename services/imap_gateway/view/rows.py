"""The messages of a mailbox as arrays: 28 octets each (uid, flags, modseq, content, size).

Rows are shared by all sessions of a mailbox. Flags change in place and new messages are added at
the end; an expunge makes new rows, and whoever was not yet told of it keeps the old ones.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress

from imap_gateway.view.labels import Labels, Words, kept

OCTETS_PER_MESSAGE = 28
CHUNK_MESSAGES = 10_000
_WORDS = OCTETS_PER_MESSAGE // 4


class Rows:
    """Messages in the order of their UIDs.

    Attributes:
        uids: Ascending.
        flags: Bits, see `imap_gateway.view.flags`.
        modseqs: Of each message's last change.
        contents: Which row of contents each shows.
        sizes: RFC822.SIZE.
        keywords: Keyword numbers by place.
    """

    __slots__ = ("_firsts", "contents", "flags", "keywords", "modseqs", "sizes", "uids")

    def __init__(self) -> None:
        self.uids = array("I")
        self.flags = array("I")
        self.modseqs = array("Q")
        self.contents = array("Q")
        self.sizes = array("I")
        self.keywords = Labels()
        self._firsts: dict[int, int] = {}  # by flag; true until flags change

    def __len__(self) -> int:
        return len(self.uids)

    @property
    def octets(self) -> int:
        """What these messages take, about."""
        return OCTETS_PER_MESSAGE * len(self.uids) + self.keywords.octets

    def extend(self, packed: bytes, keywords: str) -> None:
        """Add messages as `posthouse.storage.snapshots` packs them; all after those here."""
        self._firsts.clear()
        words = array("I", packed)
        if sys.byteorder == "little":
            words.byteswap()
        self.uids.extend(words[0::_WORDS])
        self.flags.extend(words[1::_WORDS])
        self.modseqs.extend(_wide(words[2::_WORDS], words[3::_WORDS]))
        self.contents.extend(_wide(words[4::_WORDS], words[5::_WORDS]))
        self.sizes.extend(words[6::_WORDS])
        named = ((self.find(uid), numbers) for uid, numbers in read_keywords(keywords))
        self.keywords.extend(len(self.uids), named)

    def find(self, uid: int) -> int:
        """Return where ``uid`` is, -1 if it is not here."""
        at = bisect_left(self.uids, uid)
        return at if at < len(self.uids) and self.uids[at] == uid else -1

    def places(self, uids: Iterable[int]) -> Iterator[int]:
        """Yield where those of ``uids`` (ascending) are that are here; a list of a million stops all threads."""
        here, next_ = self.uids, 0
        for uid in uids:
            if next_ >= len(here) or here[next_] != uid:  # mostly neighbours follow each other
                next_ = bisect_left(here, uid, next_)
            if next_ < len(here) and here[next_] == uid:
                yield next_
                next_ += 1

    def change(self, packed: bytes, modseq: int) -> array[int]:
        """Apply the data of an ``f`` step; return the UIDs that it names, ascending."""
        count = int.from_bytes(packed[:4], "big")
        uids, flags = _pairs(packed[4 : 4 + 8 * count])
        words = dict(read_keywords(packed[4 + 8 * count :].decode()))
        self._firsts.clear()
        has_words = bool(words or self.keywords)
        if not has_words and self._change_neighbours(uids, flags, modseq):
            return uids
        here, at = self.uids, 0
        for uid, bits in zip(uids, flags, strict=True):
            if at >= len(here) or here[at] != uid:
                at = bisect_left(here, uid, at)
            if at < len(here) and here[at] == uid and self.modseqs[at] <= modseq:
                self.flags[at], self.modseqs[at] = bits, modseq
                if has_words:
                    self.keywords.put(len(here), at, words.get(uid, ()))
                at += 1
        return uids

    def _change_neighbours(self, uids: array[int], flags: array[int], modseq: int) -> bool:
        """Give messages that stand side by side their flags at once; False if these do not."""
        start = self.find(uids[0]) if uids else -1
        place = slice(start, start + len(uids))
        if start < 0 or self.uids[place] != uids or max(self.modseqs[place]) > modseq:
            return False
        self.flags[place], self.modseqs[place] = flags, array("Q", [modseq]) * len(uids)
        return True

    def without(self, places: Iterable[int]) -> Rows:
        """Return rows without the messages at ``places``; these rows, if that is none."""
        keep, rows = bytearray(b"\1") * len(self.uids), Rows()
        for at in places:
            keep[at] = 0
        if 0 not in keep:
            return self
        rows.uids, rows.flags = kept(self.uids, keep), kept(self.flags, keep)
        rows.modseqs, rows.contents = kept(self.modseqs, keep), kept(self.contents, keep)
        rows.sizes = kept(self.sizes, keep)
        rows.keywords = self.keywords.kept(keep)
        return rows

    def first_without(self, bit: int) -> int:
        """Return where the first message without this flag is, -1 if all have it."""
        if bit not in self._firsts:
            places = ((start, octets.find(0)) for start, octets in self._flag_octets(bit))
            found = (start + at for start, at in places if at >= 0)
            self._firsts[bit] = next(found, -1)
        return self._firsts[bit]

    def uids_with(self, bit: int) -> list[int]:
        """Return the UIDs of the messages that have this flag."""
        found: list[int] = []
        for start, octets in self._flag_octets(bit):
            if 1 in octets:
                found.extend(compress(self.uids[start : start + CHUNK_MESSAGES], octets))
        return found

    def _flag_octets(self, bit: int) -> Iterator[tuple[int, bytes]]:
        """Yield, for chunks of messages, where they start and an octet for each: 1 if it has the flag."""
        lowest = 0 if sys.byteorder == "little" else self.flags.itemsize - 1
        table = bytes(bool(octet & bit) for octet in range(256))
        for start in range(0, len(self.flags), CHUNK_MESSAGES):
            octets = self.flags[start : start + CHUNK_MESSAGES].tobytes()
            yield start, octets[lowest :: self.flags.itemsize].translate(table)


def taken(column: array[int], places: Sequence[int]) -> Sequence[int]:
    """Return a column of these messages; neighbours are cut out at once."""
    if isinstance(places, range) and places.step == 1:
        return column[places.start : places.stop]
    return [column[place] for place in places]


def last_uid(packed: bytes) -> int:
    """Return the UID of the last of some messages, packed as `Rows.extend` takes them."""
    return int.from_bytes(packed[-OCTETS_PER_MESSAGE:][:4], "big")


def read_keywords(text: str) -> Iterable[tuple[int, Words]]:
    """Read ``uid:number,number;...``."""
    for entry in text.split(";") if text else ():
        uid, _, numbers = entry.partition(":")
        yield int(uid), tuple(map(int, numbers.split(",")))


def _pairs(packed: bytes) -> tuple[array[int], array[int]]:
    """Return UIDs, ascending, and flags, from pairs of them in any order."""
    words = array("Q", packed)
    if sys.byteorder == "little":
        words.byteswap()
    halves = array("I", array("Q", sorted(words)).tobytes())
    first, second = halves[0::2], halves[1::2]
    return (second, first) if sys.byteorder == "little" else (first, second)


def _wide(high: array[int], low: array[int]) -> array[int]:
    """Put halves together."""
    halves = array("I", bytes(2 * low.itemsize * len(low)))
    first, second = (low, high) if sys.byteorder == "little" else (high, low)
    halves[0::2], halves[1::2] = first, second
    wide = array("Q")
    wide.frombytes(halves.tobytes())
    return wide
