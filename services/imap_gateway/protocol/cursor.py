"""The lexical rules of IMAP, one method per rule, named as in the ABNF (RFC 3501 §9).

A cursor reads one *complete* command; framing was done before, so a literal's octets are there.
Rules take what they match and raise `BadSyntax` where they match nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from imap_gateway.protocol.octets import Aside, Octets

MAX_NUMBER = 0xFFFF_FFFF  # RFC 3501 §9 number: unsigned 32 bits
MAX_NUMBER64 = 0x7FFF_FFFF_FFFF_FFFF  # RFC 7162 §7 mod-sequence-value: unsigned 63 bits

_ATOM = re.compile(rb"[\x21\x23\x24\x26\x27\x2b-\x5b\x5e-\x7a\x7c-\x7e]+")
_ASTRING_ATOM = re.compile(rb"[\x21\x23\x24\x26\x27\x2b-\x5b\x5d-\x7a\x7c-\x7e]+")
_TAG = re.compile(rb"[\x21\x23\x24\x26\x27\x2c-\x5b\x5d-\x7a\x7c-\x7e]{1,256}")
_LIST_ATOM = re.compile(rb"[\x21\x23-\x27\x2a-\x5b\x5d-\x7a\x7c-\x7e]+")
_QUOTED = re.compile(rb'"((?:[\x01-\x09\x0b\x0c\x0e-\x21\x23-\x5b\x5d-\xff]|\\["\\])*)"')
_LITERAL = re.compile(rb"\{(\d{1,20})\+?\}\r?\n")
_NUMBER = re.compile(rb"\d{1,20}")
_WORD = re.compile(rb"[A-Za-z][A-Za-z0-9.-]*")
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)


_NOTHING_ASIDE: Final[Mapping[int, Aside]] = MappingProxyType({})


class BadSyntax(Exception):
    """Not in the grammar; the text goes into the tagged BAD and shows nothing of the input."""


class Cursor:
    """A place in a command.

    Attributes:
        data: The command's octets.
        at: Where the next rule begins.
        aside: Literals whose octets are not in ``data``, by where they would stand.
        is_utf8: Names of mailboxes are UTF-8, not modified UTF-7.
    """

    __slots__ = ("aside", "at", "data", "is_utf8")

    def __init__(
        self, data: bytes, at: int = 0, aside: Mapping[int, Aside] = _NOTHING_ASIDE
    ) -> None:
        self.data = data
        self.at = at
        self.aside = aside
        self.is_utf8 = False

    def take(self, pattern: re.Pattern[bytes], name: str) -> re.Match[bytes]:
        """Take what ``pattern`` matches here; ``name`` is the rule for the error."""
        match = pattern.match(self.data, self.at)
        if match is None:
            raise BadSyntax(f"expected {name} at octet {self.at}")
        self.at = match.end()
        return match

    def peek(self) -> int:
        """Return the next octet without taking it; -1 at the end."""
        return self.data[self.at] if self.at < len(self.data) else -1

    def skip(self, octets: bytes) -> bool:
        """Take ``octets`` if they stand here, and say whether they did."""
        if not self.data.startswith(octets, self.at):
            return False
        self.at += len(octets)
        return True

    def expect(self, octets: bytes) -> None:
        """Take ``octets``."""
        if not self.skip(octets):
            raise BadSyntax(f"expected {octets.decode()!r} at octet {self.at}")

    def space(self) -> None:
        """``SP``."""
        if not self.data.startswith(b" ", self.at):
            raise BadSyntax(f"expected ' ' at octet {self.at}")
        self.at += 1

    def end(self) -> None:
        """Nothing may follow."""
        if self.at != len(self.data):
            raise BadSyntax(f"unexpected text at octet {self.at}")

    def tag(self) -> bytes:
        """``tag = 1*<any ASTRING-CHAR except "+">``."""
        return self.take(_TAG, "a tag")[0]

    def atom(self) -> bytes:
        """``atom = 1*ATOM-CHAR``."""
        return self.take(_ATOM, "an atom")[0]

    def word(self) -> bytes:
        """A keyword of the grammar, upper case."""
        return self.take(_WORD, "a keyword")[0].upper()

    def number(self) -> int:
        """``number = 1*DIGIT``, 32 bits."""
        value = int(self.take(_NUMBER, "a number")[0])
        if value > MAX_NUMBER:
            raise BadSyntax("number too large")
        return value

    def nz_number(self) -> int:
        """``nz-number = digit-nz *DIGIT``."""
        if self.peek() == 0x30:
            raise BadSyntax(f"expected a number from 1 at octet {self.at}")
        return self.number()

    def number64(self) -> int:
        """``mod-sequence-valzer`` (RFC 7162 §7)."""
        value = int(self.take(_NUMBER, "a number")[0])
        if value > MAX_NUMBER64:
            raise BadSyntax("number too large")
        return value

    def quoted(self) -> bytes:
        r"""``quoted = DQUOTE *QUOTED-CHAR DQUOTE``; also 8-bit, which the caller may refuse."""
        inside = self.take(_QUOTED, "a quoted string")[1]
        return _ESCAPED.sub(rb"\1", inside) if b"\\" in inside else inside

    def literal(self) -> bytes:
        """``literal = "{" number ["+"] "}" CRLF *CHAR8``; NUL is no CHAR8."""
        octets = self.large_literal()
        if isinstance(octets, Aside):
            raise BadSyntax("literal too large here")
        if b"\0" in octets:
            raise BadSyntax("NUL in a literal")
        return octets

    def large_literal(self) -> Octets:
        """A literal that may have been put aside; the caller sees to NUL."""
        size = int(self.take(_LITERAL, "a literal")[1])
        if self.at in self.aside:
            return self.aside[self.at]
        octets = self.data[self.at : self.at + size]
        if len(octets) < size:
            raise BadSyntax("literal cut short")
        self.at += size
        return octets

    def string(self) -> bytes:
        """``string = quoted / literal``."""
        return self.literal() if self.peek() == 0x7B else self.quoted()

    def astring(self) -> bytes:
        """``astring = 1*ASTRING-CHAR / string``."""
        if self.peek() in {0x22, 0x7B}:
            return self.string()
        return self.take(_ASTRING_ATOM, "a string")[0]

    def list_mailbox(self) -> bytes:
        """``list-mailbox = 1*list-char / string``: with wildcards."""
        if self.peek() in {0x22, 0x7B}:
            return self.string()
        return self.take(_LIST_ATOM, "a mailbox pattern")[0]

    def nstring(self) -> bytes | None:
        """``nstring = string / nil``."""
        if self.data[self.at : self.at + 3].upper() == b"NIL":
            self.at += 3
            return None
        return self.string()
