"""Header fields: find, unfold and build them (RFC 5322 §2.2, §3.3, §3.6).

Reading is generous, as mail on the street is: any octets in, nothing raised. What we write is
strict: lines of at most 78 characters where the value can be broken (RFC 5322 §2.1.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

CRLF = b"\r\n"
LINE_CHARACTERS = 78  # RFC 5322 §2.1.1: "SHOULD be no more than 78"

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# One field: a name of printable ASCII without colon (RFC 5322 §3.6.8), then everything up to a
# line end that no white space follows. RFC 5322 §4.5 lets white space stand before the colon.
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:((?:[^\n]++|\n[ \t])*+)(?:\n|\Z)")
_VALUE = re.compile(rb"[ \t]*:((?:[^\n]++|\n[ \t])*+)")
_FOLD = re.compile(rb"\r?\n(?=[ \t])")


def header_end(octets: bytes) -> int:
    """Return where the header ends: behind its empty line, or the length if it has none."""
    if octets.startswith(CRLF):
        return len(CRLF)
    at = octets.find(b"\r\n\r\n")
    return len(octets) if at < 0 else at + 4


def fields(header: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield each field as name and value, in order; lines that are no field are passed over.

    The value is as it stands, with its folding and leading space, without the final line end.
    """
    at = 0
    while at < len(header):
        match = _FIELD.match(header, at)
        if match is None:
            line_end = header.find(b"\n", at)
            if line_end < 0 or header[at : line_end + 1].strip() == b"":
                return
            at = line_end + 1
            continue
        yield match[1], match[2].removesuffix(b"\r")
        at = match.end()


def unfold(value: bytes) -> bytes:
    """Return ``value`` on one line, without white space around it (RFC 5322 §2.2.3)."""
    return _FOLD.sub(b"", value).strip(b" \t\r\n")


def first(header: bytes, name: bytes) -> str:
    """Return the first field called ``name`` (any case), unfolded; empty if there is none.

    Octets that are not UTF-8 become U+FFFD: the text is for people and for searching.
    """
    value = next(_values(header, name), b"")
    return unfold(value).decode("utf-8", "replace")


def values(header: bytes, name: bytes) -> list[bytes]:
    """Return what all fields called ``name`` (any case) hold, as it stands, in order."""
    return list(_values(header, name))


def _values(header: bytes, name: bytes) -> Iterator[bytes]:
    """Yield the values of the fields called ``name``.

    Lines that begin so are found by a plain search, so that a header of a million fields costs no
    pause and a small one nearly nothing.
    """
    ends = [at for each in (b"\n\r\n", b"\n\n") if (at := header.find(each)) >= 0]
    end = 0 if header.startswith((CRLF, b"\n")) else min(ends, default=len(header) - 1) + 1
    lines, wanted = b"\n" + header[:end].lower(), b"\n" + name.lower()
    at = lines.find(wanted)
    while at >= 0:
        match = _VALUE.match(header, at + len(name), end)
        if match is not None:
            yield match[1]
        at = lines.find(wanted, at + 1)


def fold(name: str, value: str) -> bytes:
    """Build a field with its line end; the value is broken at spaces (RFC 5322 §2.2.3).

    A newline in ``value`` is a wish: a break is made exactly there. It must not come from a
    stranger; anything else of theirs is safe, because CR is dropped and LF always folds.
    """
    lines: list[str] = []
    for wish in f"{name}: {value}".replace("\r", "").split("\n"):
        current = ""
        for word in wish.split(" "):
            longer = f"{current} {word}" if current else word
            if current.strip() and len(longer) > LINE_CHARACTERS - 1:
                lines.append(current)
                current = word
            else:
                current = longer
        if current.strip():
            lines.append(current)
    return "\r\n\t".join(line.strip() for line in lines).encode() + CRLF


def format_date(moment: datetime) -> str:
    """Write ``moment`` as RFC 5322 §3.3 date-time in UTC; no locale has a say in it."""
    utc = moment.astimezone(UTC)
    return (
        f"{_DAYS[utc.weekday()]}, {utc.day} {_MONTHS[utc.month - 1]} {utc.year:04}"
        f" {utc.hour:02}:{utc.minute:02}:{utc.second:02} +0000"
    )
