r"""Search filters with gaps: ``(&(objectClass=person)(mail={address}))`` (RFC 4515). Pure.

The text is read once, when the service starts, and what stands for a gap is put in as octets when a
search is written. So no name that somebody types can change what a filter means.

A brace that is no gap is written as any special character: ``\7b``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from posthouse.credentials.ldap.ber import boolean, element, text

Write: TypeAlias = Callable[[Mapping[str, str]], bytes]

_AND, _OR, _NOT, _SUBSTRINGS, _PRESENT, _EXTENSIBLE = 0xA0, 0xA1, 0xA2, 0xA4, 0x87, 0xA9
_COMPARISONS = {"=": 0xA3, ">=": 0xA5, "<=": 0xA6, "~=": 0xA8}
_INITIAL, _ANY, _FINAL = 0x80, 0x81, 0x82
_RULE, _TYPE, _VALUE, _DN = 0x81, 0x82, 0x83, 0x84

_ITEM = re.compile(r"([A-Za-z0-9.;-]*)((?::[A-Za-z0-9.-]+)*)(:=|>=|<=|~=|=)([^()]*)")
_PIECE = re.compile(r"\\([0-9A-Fa-f]{2})|\{([a-z]+)\}|([^\\{}\0*()])")


class BadFilter(ValueError):
    """Not a filter in the grammar of RFC 4515, or with a gap that we do not know."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter that has been read.

    Attributes:
        write: Returns it as it goes on the wire, with the words for its gaps.
    """

    write: Write


def read(source: str, gaps: frozenset[str]) -> Filter:
    """Read a filter whose gaps are among ``gaps``; raise `BadFilter`."""
    write, end = _filter(source, 0, gaps)
    if end != len(source):
        raise BadFilter(f"nothing may follow the filter, at {source[end:]!r}")
    return Filter(write)


def _filter(source: str, at: int, gaps: frozenset[str]) -> tuple[Write, int]:
    """``filter = LPAREN filtercomp RPAREN``."""
    if source[at : at + 1] != "(":
        raise BadFilter(f"expected ( at {source[at:]!r}")
    match source[at + 1 : at + 2]:
        case "&":
            write, end = _list(_AND, source, at + 2, gaps)
        case "|":
            write, end = _list(_OR, source, at + 2, gaps)
        case "!":
            inner, end = _filter(source, at + 2, gaps)
            write = _around(_NOT, [inner])
        case _:
            write, end = _item(source, at + 1, gaps)
    if source[end : end + 1] != ")":
        raise BadFilter(f"expected ) at {source[end:]!r}")
    return write, end + 1


def _list(tag: int, source: str, at: int, gaps: frozenset[str]) -> tuple[Write, int]:
    """``filterlist = 1*filter``."""
    parts: list[Write] = []
    while not parts or source[at : at + 1] == "(":
        part, at = _filter(source, at, gaps)
        parts.append(part)
    return _around(tag, parts), at


def _around(tag: int, parts: list[Write]) -> Write:
    return lambda words: element(tag, *(part(words) for part in parts))


def _item(source: str, at: int, gaps: frozenset[str]) -> tuple[Write, int]:
    """``item = simple / present / substring / extensible``."""
    found = _ITEM.match(source, at)
    if found is None:
        raise BadFilter(f"expected attribute=value at {source[at:]!r}")
    attribute, options, operator, value = found.groups()
    if operator == ":=":
        return _extensible(attribute, options, _value(value, gaps)), found.end()
    if not attribute or options:
        raise BadFilter(f"expected an attribute at {source[at:]!r}")
    if operator == "=" and value == "*":
        return (lambda _: text(attribute, _PRESENT)), found.end()
    if operator == "=" and "*" in value:
        return _substrings(attribute, value.split("*"), gaps), found.end()
    tag, asserted = _COMPARISONS[operator], _value(value, gaps)
    return (lambda words: element(tag, text(attribute), text(asserted(words)))), found.end()


def _extensible(attribute: str, options: str, value: Write) -> Write:
    """``extensible = attr [":dn"] [":" rule] ":=" value`` and the like (RFC 4511 §4.5.1.7.7)."""
    rules = [option for option in options.split(":") if option]
    with_dn = "dn" in rules
    rules = [rule for rule in rules if rule != "dn"]
    if len(rules) > 1 or not (rules or attribute):
        raise BadFilter("expected attribute:rule:=value")
    before = b"".join(text(rule, _RULE) for rule in rules)
    before += text(attribute, _TYPE) if attribute else b""
    behind = boolean(value=True, tag=_DN) if with_dn else b""
    return lambda words: element(_EXTENSIBLE, before, text(value(words), _VALUE), behind)


def _substrings(attribute: str, texts: list[str], gaps: frozenset[str]) -> Write:
    """``substring = attr EQUALS [initial] any [final]``."""
    first, *middle, last = ((each, _value(each, gaps)) for each in texts)
    parts = [(_INITIAL, *first), *((_ANY, *each) for each in middle), (_FINAL, *last)]
    kept = [(tag, value) for tag, source, value in parts if source]
    if not kept:
        raise BadFilter("expected something between the asterisks")
    return lambda words: element(
        _SUBSTRINGS,
        text(attribute),
        element(0x30, *(text(value(words), tag) for tag, value in kept)),
    )


def _value(source: str, gaps: frozenset[str]) -> Write:
    """``assertionvalue``: octets, of which some are not known yet."""
    pieces: list[bytes | str] = []
    at = 0
    while at < len(source):
        piece = _PIECE.match(source, at)
        if piece is None or (piece[2] and piece[2] not in gaps):
            raise BadFilter(f"a character to be escaped, or an unknown gap, at {source[at:]!r}")
        escaped, gap, plain = piece.groups()
        pieces.append(gap or (bytes.fromhex(escaped) if escaped else plain.encode()))
        at = piece.end()
    return lambda words: b"".join(
        words[piece].encode() if isinstance(piece, str) else piece for piece in pieces
    )
