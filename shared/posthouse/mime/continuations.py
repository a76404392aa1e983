"""Parameters of RFC 2231 as one value each: still encoded for all (§6), in UTF-8 for IMAP4rev2."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple
from urllib.parse import quote_from_bytes, unquote_to_bytes

from posthouse.mime.charsets import codec_of, decode
from posthouse.mime.parameters import MAX_DIGITS, Parameters

_SECTION = re.compile(rb"(?s)([^*]+)\*(?:([0-9]{1,%d})(\*?))?" % MAX_DIGITS)
_ATTRIBUTE = "!#$&+-.^_`{|}~"  # of attribute-char, beside letters and digits (RFC 2231 §7)


class _Section(NamedTuple):
    place: int
    is_extended: bool
    value: bytes


def join_encoded(parameters: Parameters) -> Parameters:
    """Return ``parameters`` with their sections joined (RFC 2231 §6), encoded as they were.

    ``name*0`` and ``name*1`` become ``name``; where one of them is extended (``name*0*``) they become
    ``name*``, and what was plain is encoded. What is joined stands where its first section stood; a
    section that belongs to nothing stays as it is.
    """
    return _joined(parameters, _encoded)


def join_continuations(parameters: Parameters) -> Parameters:
    """Return ``parameters`` with their sections joined and decoded (RFC 9051 §7.5.2).

    As `join_encoded`, but the value of ``name*`` is in UTF-8, without charset and language. What is in
    an unknown charset stays as it is.
    """
    return _joined(parameters, _decoded)


def _joined(
    parameters: Parameters, write: Callable[[Sequence[_Section]], bytes | None]
) -> Parameters:
    found: dict[tuple[bytes, bool], dict[int, _Section]] = {}
    for place, (name, value) in enumerate(parameters):
        if match := _SECTION.fullmatch(name):
            base, number, star = match.groups()
            section = _Section(place, number is None or bool(star), value)
            found.setdefault((base, number is None), {}).setdefault(int(number or 0), section)
    shown: dict[int, tuple[bytes, bytes]] = dict(enumerate(parameters))
    names = {name for name, _ in parameters if _SECTION.fullmatch(name) is None}
    for (base, _), numbered in found.items():
        sections = _in_order(numbered)
        name = base + b"*" * any(section.is_extended for section in sections)
        joined = write(sections) if sections else None
        if joined is None or name in names:
            continue
        names.add(name)
        for section in sections:
            del shown[section.place]
        shown[min(section.place for section in sections)] = (name, joined)
    return tuple(one for _, one in sorted(shown.items()))


def _in_order(numbered: dict[int, _Section]) -> list[_Section]:
    """Return the sections from 0 up to where one is missing."""
    count = next(number for number in range(len(numbered) + 1) if number not in numbered)
    return [numbered[number] for number in range(count)]


def _encoded(sections: Sequence[_Section]) -> bytes:
    """Return the value with its charset and language, if one of the sections is extended."""
    if not any(section.is_extended for section in sections):
        return b"".join(section.value for section in sections)
    texts = [
        section.value
        if section.is_extended
        else quote_from_bytes(section.value, safe=_ATTRIBUTE).encode()
        for section in sections
    ]
    return (b"" if sections[0].is_extended else b"''") + b"".join(texts)


def _decoded(sections: Sequence[_Section]) -> bytes | None:
    """Return the value in UTF-8; None if nobody knows its charset."""
    charset, octets = b"", []
    for number, section in enumerate(sections):
        text = section.value
        if section.is_extended and not number and text.count(b"'") > 1:
            charset, _, text = text.split(b"'", 2)
        octets.append(unquote_to_bytes(text) if section.is_extended else text)
    if charset and codec_of(charset) is None:
        return None
    return decode(b"".join(octets), charset).encode("utf-8", "replace")
