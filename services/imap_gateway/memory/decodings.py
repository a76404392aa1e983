"""What is remembered of decoded parts, so that the pieces of one do not decode it again and again.

Of most a few facts do: a piece is then read and decoded alone. Where they do not (quoted-printable,
base64 in odd lines), the decoded part stays in the spool while there is room.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

from posthouse.mime.decoding import Decoder
from posthouse.mime.lines import Lines
from posthouse.runtime.spool import SpoolFile
from posthouse.storage.contents import Place

MAX_FACTS = 10_000  # parts; some hundred octets each
MAX_KEPT_OCTETS = 1024 * 1024 * 1024  # of files in the spool
MAX_KEPT_FILES = 500  # each is an open descriptor

Key: TypeAlias = tuple[UUID, int, tuple[int, ...]]  # the object, octets of its prefix, the part


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a part.

    Attributes:
        size: Octets when decoded.
        has_nul: One of these is NUL.
        lines: The lines of base64, if they are regular.
        decoder: What undoes the encoding.
    """

    size: int
    has_nul: bool
    lines: Lines | None
    decoder: type[Decoder]


class _Kept:
    __slots__ = ("file", "is_out", "users")

    def __init__(self, file: SpoolFile) -> None:
        self.file = file
        self.users = 0
        self.is_out = False

    def close_if_unused(self) -> None:
        if self.is_out and not self.users:
            self.file.close()


class Decodings:
    """The memory of a process; what was not used for longest goes first."""

    def __init__(self, max_octets: int = MAX_KEPT_OCTETS, max_files: int = MAX_KEPT_FILES) -> None:
        self._facts: OrderedDict[Key, Facts] = OrderedDict()
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._max_octets = max_octets
        self._max_files = max_files
        self._octets = 0

    @staticmethod
    def key(place: Place, path: tuple[int, ...]) -> Key:
        """Return what a part is known by."""
        return place.object_id, len(place.prefix), path

    def facts(self, key: Key) -> Facts | None:
        """Return what is known of a part."""
        found = self._facts.get(key)
        if found is not None:
            self._facts.move_to_end(key)
        return found

    def know(self, key: Key, facts: Facts) -> None:
        """Remember the facts."""
        self._facts[key] = facts
        if len(self._facts) > MAX_FACTS:
            self._facts.popitem(last=False)

    def keep(self, key: Key, file: SpoolFile) -> bool:
        """Take over a decoded part; return False if there is no room, or one is here already."""
        if key in self._kept or file.size > self._max_octets:
            return False
        self._kept[key] = _Kept(file)
        self._octets += file.size
        while self._octets > self._max_octets or len(self._kept) > self._max_files:
            _, old = self._kept.popitem(last=False)
            self._octets -= old.file.size
            old.is_out = True
            old.close_if_unused()
        return True

    @contextmanager
    def lend(self, key: Key) -> Iterator[SpoolFile | None]:
        """Lend a kept part, which stays open meanwhile; None if it is not here."""
        kept = self._kept.get(key)
        if kept is None:
            yield None
            return
        self._kept.move_to_end(key)
        kept.users += 1
        try:
            yield kept.file
        finally:
            kept.users -= 1
            kept.close_if_unused()
