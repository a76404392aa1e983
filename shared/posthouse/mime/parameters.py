"""Content-Type, Content-Disposition and their parameters (RFC 2045 §5.1, RFC 2183 §2).

Parameters of RFC 2231 (``name*0*=``) stay as they stand; `posthouse.mime.continuations` joins them.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

Parameters = tuple[tuple[bytes, bytes], ...]
MAX_FIELD_OCTETS = 65_536  # of a field that is taken apart; what stands behind is not looked at
MAX_PARAMETERS = 200  # a mail with more of them has them for us to stumble over
MAX_DIGITS = 4  # of the number of an RFC 2231 section

QUOTED = rb"[^\"\\]*(?:\\.[^\"\\]*)*"  # the inside of a quoted string, RFC 5322 §3.2.4
_TOKEN = rb"[^\x00-\x20\x7f()<>@,;:\\\"/\[\]?=]+"
_TYPE = re.compile(rb"[ \t]*(%s)[ \t]*/[ \t]*(%s)" % (_TOKEN, _TOKEN))
_VALUE = re.compile(rb"[ \t]*(%s)" % _TOKEN)
# A value without quotes ends at white space or semicolon; mailers forget to quote the rest.
_PARAMETER = re.compile(
    rb";[ \t]*(%s)[ \t]*=[ \t]*(?:\"(%s)\"?|([^; \t\"]*))" % (_TOKEN, QUOTED), re.DOTALL
)
_OUTSIDE = re.compile(rb"\"%s\"?|\(|[^\"(]+" % QUOTED, re.DOTALL)
_INSIDE = re.compile(rb"[()]|[^()\\]+|\\.?", re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)


class Parametric(NamedTuple):
    """A value with parameters.

    Attributes:
        value: ``text/plain`` or ``attachment``, in lower case.
        parameters: Names in lower case, values unquoted, in their order.
    """

    value: bytes
    parameters: Parameters

    def get(self, name: bytes) -> bytes:
        """Return the parameter of that name, RFC 2231 forms joined and decoded; else empty."""
        for key, value in self.parameters:
            if key == name:
                return value
        return _joined(self.parameters, name + b"*")


def parse_content_type(field: bytes) -> Parametric | None:
    """Read a Content-Type; None if it names no type and subtype (RFC 2045 §5.2: then text)."""
    field = without_comments(field)
    match = _TYPE.match(field)
    if match is None:
        return None
    return Parametric(
        b"%s/%s" % (match[1].lower(), match[2].lower()), _parameters(field, match.end())
    )


def parse_disposition(field: bytes) -> Parametric | None:
    """Read a Content-Disposition; None if it has no value."""
    field = without_comments(field)
    match = _VALUE.match(field)
    return Parametric(match[1].lower(), _parameters(field, match.end())) if match else None


def parse_token(field: bytes) -> bytes:
    """Return the first token of a field such as Content-Transfer-Encoding, in lower case."""
    match = _VALUE.match(without_comments(field))
    return match[1].lower() if match else b""


def without_comments(field: bytes) -> bytes:
    """Return ``field`` with its comments taken out (RFC 5322 §3.2.2); quoted strings stay.

    At most `MAX_FIELD_OCTETS` of it.
    """
    field = field[:MAX_FIELD_OCTETS]
    if b"(" not in field:
        return field
    at, depth, kept = 0, 0, []
    while match := (_INSIDE if depth else _OUTSIDE).match(field, at):
        piece, at = match[0], match.end()
        if piece == b"(":
            depth += 1
        elif depth:
            depth -= piece == b")"
        else:
            kept.append(piece)
    return b"".join(kept)


def unquote(text: bytes) -> bytes:
    """Return the meaning of a quoted string's inside (RFC 5322 §3.2.4)."""
    return _ESCAPED.sub(rb"\1", text) if b"\\" in text else text


def _parameters(field: bytes, at: int) -> Parameters:
    """Read the parameters from ``at`` on, passing over what is none."""
    found: list[tuple[bytes, bytes]] = []
    while len(found) < MAX_PARAMETERS and (at := field.find(b";", at)) >= 0:
        match = _PARAMETER.match(field, at)
        if match is None:
            at += 1
            continue
        name, quoted, plain = match.groups()
        found.append((name.lower(), unquote(quoted) if plain is None else plain))
        at = match.end()
    return tuple(found)


def _joined(parameters: Parameters, prefix: bytes) -> bytes:
    """Join ``name*0*=`` and its like in the order of their numbers (RFC 2231 §3, §4)."""
    sections: dict[int, bytes] = {}
    for key, value in parameters:
        number = key.removeprefix(prefix).rstrip(b"*")
        if (
            key.startswith(prefix)
            and (number.isdigit() or not number)
            and len(number) <= MAX_DIGITS
        ):
            at = int(number or b"0")
            if key.endswith(b"*"):
                value = unquote_to_bytes(value if at else value.split(b"'", 2)[-1])  # noqa: PLW2901
            sections.setdefault(at, value)
    return b"".join(value for _, value in sorted(sections.items()))
