"""The parts table: where each section of a stored object lies (RFC 3501 §6.4.5).

Packed beside the BODYSTRUCTURE, so that BODY[1.2] is a range of the object and nothing is
parsed again. Offsets count from the object's first octet; what stands before the object for one
recipient (`Return-Path` ...) is not in them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from posthouse.mime.structure import MESSAGE, MULTIPART, Entity

_ROW = struct.Struct("<BBIII")  # kind, depth, start, body, end; in the order of the octets

Range = tuple[int, int]


class Part(NamedTuple):
    """One entity.

    Attributes:
        kind: See `posthouse.mime.structure`.
        depth: 0 for the message; one deeper for a part, and for the message in a message/rfc822.
        start: Where the header begins.
        body: Where the body begins.
        end: Where the body ends.
    """

    kind: int
    depth: int
    start: int
    body: int
    end: int


class Parts:
    """The parts of one message; the first is the message itself."""

    __slots__ = ("_children", "_rows")

    def __init__(self, rows: Sequence[Part]) -> None:
        self._rows = rows
        self._children: list[list[int]] = [[] for _ in rows]
        way: list[int] = []
        for at, row in enumerate(rows):
            del way[row.depth :]
            if way:
                self._children[way[-1]].append(at)
            way.append(at)

    def __iter__(self) -> Iterator[Part]:
        return iter(self._rows)

    def find(self, path: Sequence[int]) -> Part | None:
        """Return the part with this number (``1.2`` is ``(1, 2)``), None if there is none.

        The empty path is the message. A message that is no multipart has one part, 1, which is
        itself: its body, and its header for MIME.
        """
        at = self._find(path)
        return None if at is None else self._rows[at]

    def section(self, path: Sequence[int], what: str = "") -> Range | None:
        """Return the range of a section: ``what`` is "", "MIME", "HEADER" or "TEXT".

        HEADER and TEXT are those of the message, or of a message/rfc822 part; None for others.
        """
        at = self._find(path)
        if at is None:
            return None
        part = self._rows[at]
        if what == "MIME":
            return (part.start, part.body) if path else None
        if not what:
            return (part.body, part.end) if path else (part.start, part.end)
        if path:
            if part.kind != MESSAGE:
                return None
            part = self._rows[self._children[at][0]]
        return (part.start, part.body) if what == "HEADER" else (part.body, part.end)

    def _find(self, path: Sequence[int]) -> int | None:
        at = 0
        is_message = True  # a number counts within what `at` is the message of
        for number in path:
            if self._rows[at].kind == MESSAGE and not is_message:
                at, is_message = self._children[at][0], True
            if self._rows[at].kind == MULTIPART:
                if not 1 <= number <= len(self._children[at]):
                    return None
                at, is_message = self._children[at][number - 1], False
            elif number == 1 and is_message:
                is_message = False
            else:
                return None
        return at


def pack_parts(root: Entity) -> bytes:
    """Pack the tree of a message."""
    rows: list[bytes] = []
    todo = [root]
    while todo:
        entity = todo.pop()
        rows.append(_ROW.pack(entity.kind, entity.depth, entity.start, entity.body, entity.end))
        todo.extend(reversed(entity.children))
    return b"".join(rows)


def unpack_parts(packed: bytes) -> Parts:
    """Return the parts that `pack_parts` packed."""
    return Parts([Part(*row) for row in _ROW.iter_unpack(packed)])
