"""Names with gaps: ``uid={local},ou=people,dc=example,dc=test`` (RFC 4514). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

_GAP = re.compile(r"\{([a-z]*)\}")
_PLAIN = re.compile(rb"[A-Za-z0-9@._-]")


class BadName(ValueError):
    """A name with a gap that we do not know, or without any."""


def check(template: str, gaps: frozenset[str]) -> str:
    """Return ``template`` if it has gaps, and all of them among ``gaps``; raise `BadName`."""
    found = _GAP.findall(template)
    if not found or not gaps.issuperset(found):
        known = ", ".join(f"{{{gap}}}" for gap in sorted(gaps))
        raise BadName(f"must hold at least one of {known}, and nothing else in braces")
    return template


def fill(template: str, words: Mapping[str, str]) -> str:
    """Return the name of somebody.

    In a distinguished name each word is one value, whatever characters it has (RFC 4514 §2.4). A
    name that is none, as ``{address}`` alone, is what Active Directory takes, too.
    """
    escape = _escaped if "=" in template else str
    return _GAP.sub(lambda gap: escape(words[gap[1]]), template)


def _escaped(word: str) -> str:
    octets = (bytes((octet,)) for octet in word.encode())
    return "".join(
        octet.decode() if _PLAIN.fullmatch(octet) else f"\\{octet.hex()}" for octet in octets
    )
