"""What FETCH can be asked for, as values (RFC 3501 §6.4.5)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias


class Word(Enum):
    """A word of the grammar: looked up by what it is, not by the text of its name as others are."""

    __hash__ = object.__hash__


class Item(Word):
    """Data items without arguments; the value is the name on the wire."""

    FLAGS = b"FLAGS"
    UID = b"UID"
    INTERNALDATE = b"INTERNALDATE"
    SIZE = b"RFC822.SIZE"
    ENVELOPE = b"ENVELOPE"
    BODYSTRUCTURE = b"BODYSTRUCTURE"
    BODY = b"BODY"
    MODSEQ = b"MODSEQ"
    EMAILID = b"EMAILID"  # RFC 8474 §5
    THREADID = b"THREADID"
    SAVEDATE = b"SAVEDATE"  # RFC 8514 §4.2
    PREVIEW = b"PREVIEW"  # RFC 8970 §3
    LAZY_PREVIEW = b"PREVIEW (LAZY)"


class Text(Word):
    """What of a message or part (``section-text``)."""

    ALL = b""
    HEADER = b"HEADER"
    FIELDS = b"HEADER.FIELDS"
    FIELDS_NOT = b"HEADER.FIELDS.NOT"
    TEXT = b"TEXT"
    MIME = b"MIME"


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    r"""``BODY[section]<partial>`` and its old forms ``RFC822``, ``RFC822.HEADER``, ``RFC822.TEXT``.

    Attributes:
        path: Part numbers; empty for the message itself.
        text: What of it.
        fields: Names of header fields, upper case, for FIELDS and FIELDS_NOT.
        partial: First octet and number of octets, or None for all.
        is_peek: Leaves ``\Seen`` alone.
        label: What the answer is called, before ``<origin>``.
    """

    path: tuple[int, ...] = ()
    text: Text = Text.ALL
    fields: tuple[bytes, ...] = ()
    partial: tuple[int, int] | None = None
    is_peek: bool = False
    label: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    r"""``BINARY[part]<partial>`` and ``BINARY.SIZE[part]`` (RFC 3516 §4.2).

    Attributes:
        path: Part numbers; empty for the message itself.
        partial: First octet and number of octets of what was decoded, or None for all.
        is_peek: Leaves ``\Seen`` alone; a size always does.
        is_size: Only the size is asked for.
    """

    path: tuple[int, ...] = ()
    partial: tuple[int, int] | None = None
    is_peek: bool = False
    is_size: bool = False

    @property
    def label(self) -> bytes:
        """What the answer is called."""
        path = b".".join(b"%d" % number for number in self.path)
        origin = b"<%d>" % self.partial[0] if self.partial else b""
        return b"BINARY%b[%b]%b" % (b".SIZE" if self.is_size else b"", path, origin)


FetchItem: TypeAlias = Item | Section | Binary

ALL = (Item.FLAGS, Item.INTERNALDATE, Item.SIZE, Item.ENVELOPE)  # RFC 3501 §6.4.5 macros
FAST = (Item.FLAGS, Item.INTERNALDATE, Item.SIZE)
FULL = (*ALL, Item.BODY)
