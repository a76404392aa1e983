r"""The tree of a message: where every part lies (RFC 2046 §5, RFC 2045).

One pass from the first octet to the last, without recursion:

    header -- leaf ------------> the next delimiter line of any open multipart
           \- multipart -------> the same; its first delimiter opens its first child
           \- message/rfc822 --> the header of the message inside

A header ends at its empty line (or a delimiter) and nowhere else (RFC 5322 §2.1): a line that is
no field stays in it, as DKIM and other servers see it. A delimiter ends everything that was opened
inside its multipart, so a missing close delimiter costs nothing. Any octets are read; nothing
raises; time is linear: no octet is looked at more often than a constant number of times, and where
a message is made to be costly, the rest of it becomes one opaque leaf (`MAX_PARTS`, `MAX_DEPTH`,
`MAX_FALSE_DELIMITERS`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from posthouse.mime.fields import CONTENT_FIELDS, MESSAGE_FIELDS, Fields, pick
from posthouse.mime.pages import Octets, search
from posthouse.mime.parameters import Parametric, parse_content_type

MAX_DEPTH = 30
MAX_PARTS = 5_000  # BODY and BODYSTRUCTURE stay below a million octets, see `wire`
MAX_FALSE_DELIMITERS = 100_000  # lines that begin like a delimiter and are none
MAX_BOUNDARY_OCTETS = 250  # RFC 2046 §5.1.1 allows 70

LEAF, TEXT, MULTIPART, MESSAGE, OPAQUE = range(5)

_PLAIN_TEXT = Parametric(b"text/plain", ())
_OPAQUE_TYPE = Parametric(b"application/octet-stream", ())
_MESSAGE_TYPE = Parametric(b"message/rfc822", ())
_EMPTY_LINE = re.compile(rb"\n\r?\n")
_COUNTED = frozenset({TEXT, MESSAGE})


class Entity:
    """A message or a body part: header and body as ranges of the scanned octets.

    Attributes:
        kind: LEAF, TEXT (a leaf with text/*), MULTIPART, MESSAGE (message/rfc822) or OPAQUE.
        start: Where the header begins.
        body: Where the body begins, behind the empty line.
        end: Where the body ends, without the line end that belongs to the delimiter.
        depth: 0 for the message itself.
        type: The Content-Type, or the default that stands for it.
        fields: The header fields that matter.
        children: Parts of a multipart; the one message inside a message/rfc822.
        lines: Line ends in the body of a TEXT or MESSAGE.
    """

    __slots__ = ("body", "children", "depth", "end", "fields", "kind", "lines", "start", "type")

    def __init__(self, start: int, body: int, depth: int) -> None:
        self.kind = LEAF
        self.start = start
        self.body = body
        self.end = body
        self.depth = depth
        self.type = _PLAIN_TEXT
        self.fields: Fields = {}
        self.children: list[Entity] = []
        self.lines = 0


class _Delimiter(NamedTuple):
    """A delimiter line: where it begins, where the next line begins, whose it is."""

    start: int
    after: int
    level: int
    is_close: bool


def read_tree(octets: Octets) -> Entity:
    """Return the tree of the message in ``octets``."""
    return _Scanner(octets).run()


def leaves_of(root: Entity) -> Iterator[Entity]:
    """Yield what holds no other entities, in the order of the message; no empty multiparts."""
    todo = [root]
    while todo:
        entity = todo.pop()
        if entity.children:
            todo.extend(reversed(entity.children))
        elif entity.kind != MULTIPART:
            yield entity


class _Scanner:
    def __init__(self, octets: Octets) -> None:
        self._octets = octets
        self._open: list[Entity] = []  # multiparts and messages, outermost first
        self._boundaries: dict[bytes, list[int]] = {}  # of the multiparts that are open: levels
        self._needle = b""  # what every delimiter line that can come begins with
        self._parts = 0
        self._false_delimiters = 0
        self._empty_line = (0, 0, 0)  # the last one found: searched from, its start, its end
        self._counted_to = self._counted = 0  # line ends, in one sweep over the octets

    def run(self) -> Entity:
        root = entity = self._entity(0, _PLAIN_TEXT)
        while True:
            while entity.kind == MESSAGE:
                self._push(entity)
                child = self._entity(entity.body, _PLAIN_TEXT)
                entity.children.append(child)
                entity = child
            if entity.kind == MULTIPART:
                self._push(entity)
            delimiter = self._next_part(entity)
            if delimiter is None:
                return root
            parent = self._open[-1]
            is_digest = parent.type.value == b"multipart/digest"  # RFC 2046 §5.1.5
            entity = self._entity(delimiter.after, _MESSAGE_TYPE if is_digest else _PLAIN_TEXT)
            parent.children.append(entity)

    # ---- headers

    def _entity(self, start: int, default: Parametric) -> Entity:
        """Read the header at ``start`` and tell what kind of entity it begins."""
        self._parts += 1
        if self._parts >= MAX_PARTS:
            return self._rest(start)
        body = self._header_end(start)
        entity = Entity(start, body, len(self._open))
        is_message = not self._open or self._open[-1].kind == MESSAGE
        header = self._octets[start:body]
        entity.fields = pick(header, MESSAGE_FIELDS if is_message else CONTENT_FIELDS)
        field = entity.fields.get(b"content-type")
        entity.type = (field and parse_content_type(field[0])) or default
        entity.kind = self._kind(entity)
        if entity.kind in _COUNTED:
            if not any(outer.kind == MESSAGE for outer in self._open):
                self._counted_to = max(self._counted_to, body)
            entity.lines = -self._lines_to(body)
        return entity

    def _kind(self, entity: Entity) -> int:
        main, _, sub = entity.type.value.partition(b"/")
        if main == b"text":
            return TEXT
        if main != b"multipart" and (main, sub) != (b"message", b"rfc822"):
            return LEAF
        if len(self._open) < MAX_DEPTH:
            return MULTIPART if main == b"multipart" else MESSAGE
        entity.type = _OPAQUE_TYPE
        return OPAQUE

    def _rest(self, start: int) -> Entity:
        """Return an opaque leaf that takes all that is left."""
        rest = Entity(start, start, len(self._open))
        rest.kind, rest.type = OPAQUE, _OPAQUE_TYPE
        self._boundaries.clear()
        return rest

    def _header_end(self, start: int) -> int:
        """Return where the header at ``start`` ends: behind the empty line, or at a delimiter."""
        octets = self._octets
        beginning = octets[start : start + 2]
        if beginning == b"\r\n" or beginning[:1] == b"\n":
            return start + (2 if beginning == b"\r\n" else 1)
        since, begins, ends = self._empty_line
        if not since <= start < begins:
            begins, ends = search(octets, _EMPTY_LINE, start) or (len(octets), len(octets))
            self._empty_line = (start, begins, ends)
        if self._boundaries:
            delimiter = self._find_delimiter(start, begins)
            if delimiter is not None:
                return delimiter.start
        return ends

    # ---- bodies

    def _push(self, entity: Entity) -> None:
        self._open.append(entity)
        if entity.kind == MULTIPART:
            boundary = entity.type.get(b"boundary").rstrip(b" \t\r\n")[:MAX_BOUNDARY_OCTETS]
            if boundary:
                # The inner one of two that share a boundary gets the delimiters, until it is closed.
                self._boundaries.setdefault(boundary, []).append(len(self._open) - 1)
                self._aim()

    def _aim(self) -> None:
        low, high = min(self._boundaries, default=b""), max(self._boundaries, default=b"")
        same = next((i for i, octet in enumerate(low) if octet != high[i]), len(low))
        self._needle = b"\n--" + low[:same]

    def _next_part(self, entity: Entity) -> _Delimiter | None:
        """Go to where the next part begins, ending what the delimiters on the way end."""
        at = entity.body
        leaf = entity if entity.kind in {LEAF, TEXT, OPAQUE} else None
        while delimiter := self._find_delimiter(at, len(self._octets)):
            is_crlf = self._octets[delimiter.start - 2 : delimiter.start - 1] == b"\r"
            end = delimiter.start - (2 if is_crlf else 1)
            self._end(leaf, delimiter.level + 1, end)
            leaf, at = None, delimiter.after
            if not delimiter.is_close:
                return delimiter
            self._give_part(self._open[delimiter.level], end)
            self._forget(delimiter.level)
        self._end(leaf, 0, len(self._octets))
        return None

    def _find_delimiter(self, at: int, limit: int) -> _Delimiter | None:
        """Return the first delimiter line that begins between ``at`` and ``limit``.

        The line must be the boundary, but for white space at its end; RFC 2046 §5.1.1 would let
        any line pass that begins with one, and mailers number their boundaries (b1, b10).
        """
        if not self._boundaries:
            return None
        octets, needle = self._octets, self._needle
        at = octets.find(needle, at - 1, limit)
        while at >= 0:
            line = octets[at + 3 : at + MAX_BOUNDARY_OCTETS + 8].partition(b"\n")[0].rstrip()
            for name, is_close in ((line, False), (line[:-2], True)):
                levels = self._boundaries.get(name)
                if levels and (not is_close or line.endswith(b"--")):
                    after = octets.find(b"\n", at + 3) + 1 or len(octets)
                    return _Delimiter(at + 1, after, levels[-1], is_close)
            self._false_delimiters += 1
            if self._false_delimiters > MAX_FALSE_DELIMITERS:
                self._boundaries.clear()
                return None
            at = octets.find(needle, at + 3, limit)
        return None

    def _forget(self, level: int) -> None:
        """Stop listening for the boundaries of the multiparts from ``level`` on inwards."""
        kept = {
            name: [at for at in found if at < level] for name, found in self._boundaries.items()
        }
        self._boundaries = {name: found for name, found in kept.items() if found}
        self._aim()

    def _end(self, leaf: Entity | None, level: int, end: int) -> None:
        """End the ``leaf`` and all that is open from ``level`` on inwards at ``end``."""
        ended = self._open[level:]
        if ended:
            del self._open[level:]
            self._forget(level)
        if leaf is not None:
            ended.append(leaf)
        if ended:
            end = max(end, ended[-1].body)  # the empty line before a delimiter belongs to a header
        for entity in ended:
            entity.end = end
            if entity.kind in _COUNTED:
                entity.lines += self._lines_to(end)
            elif entity.kind == MULTIPART:
                self._give_part(entity, end)

    def _give_part(self, multipart: Entity, end: int) -> None:
        """Show a multipart without parts as one of text up to ``end``, so that it can be read."""
        if not multipart.children:
            part = Entity(multipart.body, multipart.body, multipart.depth + 1)
            part.kind, part.end = TEXT, max(end, part.body)
            part.lines = self._octets.count(b"\n", part.body, part.end)
            multipart.children.append(part)

    def _lines_to(self, position: int) -> int:
        """Return the line ends before ``position``; only differences of this number matter.

        Stretches outside of texts and messages are not counted, and none is counted twice.
        """
        if position > self._counted_to:
            self._counted += self._octets.count(b"\n", self._counted_to, position)
            self._counted_to = position
        return self._counted
