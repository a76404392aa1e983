"""Transfer encodings undone, portion by portion: what comes out of all is what comes out of one (RFC 2045 §6).

Nothing is refused: what is no base64 is left out, as is white space at the end of a quoted line.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from types import MappingProxyType
from typing import Final, Protocol

_NO_BASE64 = re.compile(rb"[^A-Za-z0-9+/=]+")
# Where a portion must not be cut: within an escape, or before it is known whether the line ends.
_OPEN_END = re.compile(rb"(?:=[0-9A-Fa-f]?[ \t]*\r?|[ \t]+\r?|\r)\Z")
_WHITE_END = re.compile(rb"(?<![ \t])[ \t]++(?=\r?\n)")
MAX_OPEN_OCTETS = 1000  # so long an end is looked at; more white space stands for itself


class Decoder(Protocol):
    """Undoes one encoding of one part."""

    def feed(self, octets: bytes) -> bytes:
        """Return what ``octets`` and those before stand for, as far as that is certain."""
        ...

    def end(self) -> bytes:
        """Return the rest."""
        ...


class AsItIs:
    """What is not encoded."""

    def feed(self, octets: bytes) -> bytes:
        """Return ``octets``."""
        return octets

    def end(self) -> bytes:
        """Return nothing."""
        return b""


class Base64:
    """§6.8: up to the padding, and what lacks it."""

    def __init__(self) -> None:
        self._rest = b""
        self._is_over = False

    def feed(self, octets: bytes) -> bytes:
        """Return what is whole."""
        if self._is_over:
            return b""
        text, padding, _ = (self._rest + _NO_BASE64.sub(b"", octets)).partition(b"=")
        self._is_over = bool(padding)
        whole = len(text) - len(text) % 4
        self._rest = text[whole:]
        return binascii.a2b_base64(text[:whole]) + (self.end() if padding else b"")

    def end(self) -> bytes:
        """Return the rest; a single character stands for nothing."""
        text, self._rest = self._rest, b""
        return binascii.a2b_base64(text + b"=" * (-len(text) % 4)) if len(text) > 1 else b""


class QuotedPrintable:
    """§6.7."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, octets: bytes) -> bytes:
        """Return what cannot be read otherwise."""
        text = self._rest + octets
        end = _OPEN_END.search(text, max(0, len(text) - MAX_OPEN_OCTETS))
        cut = len(text) if end is None else end.start()
        self._rest = text[cut:]
        return binascii.a2b_qp(_WHITE_END.sub(b"", text[:cut]))

    def end(self) -> bytes:
        """Return the rest; white space at the end was not there."""
        return binascii.a2b_qp(self._rest.rstrip(b" \t"))


DECODERS: Final = MappingProxyType[bytes, Callable[[], Decoder]]({
    b"": AsItIs,
    b"7bit": AsItIs,
    b"8bit": AsItIs,
    b"binary": AsItIs,
    b"base64": Base64,
    b"quoted-printable": QuotedPrintable,
})  # fmt: skip
