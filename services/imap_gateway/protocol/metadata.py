"""Annotations of mailboxes and of the server (RFC 5464), as values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

PRIVATE, SHARED = "/private/", "/shared/"
SPECIAL_USE = "/private/specialuse"  # RFC 6154 §4
ADMIN = "/shared/admin"  # RFC 5464 §6.2.2
MAX_ENTRY_OCTETS = 255
INFINITE = 2**31

_ENTRY = re.compile(
    r"/(?:private|shared)(?:/[\x21-\x24\x26-\x29\x2b-\x2e\x30-\x7e]+)*", re.IGNORECASE
)
_ROOTS = {"/private", "/shared"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Which annotations are asked for.

    Attributes:
        entries: Their names.
        depth: How many levels below these are wanted too (§4.2.2).
        max_size: Larger values are not wanted (§4.2.1), None for all; octets.
    """

    entries: tuple[str, ...]
    depth: int = 0
    max_size: int | None = None

    def wants(self, entry: str) -> bool:
        """True if the entry is named, or is near enough below one that is."""
        low = entry.lower()
        return any(self._is_below(low, name.lower()) for name in self.entries)

    def _is_below(self, entry: str, name: str) -> bool:
        if not entry.startswith(name):
            return False
        rest = entry[len(name) :]
        return not rest or (rest.startswith("/") and rest.count("/") <= self.depth)


@dataclass(frozen=True, slots=True)
class GetMetadata:
    """§4.2; the empty mailbox is the server."""

    mailbox: str
    wish: Wish


@dataclass(frozen=True, slots=True)
class SetMetadata:
    """§4.3; None removes an entry."""

    mailbox: str
    values: Mapping[str, bytes | None] = field(repr=False)


def is_path(name: str) -> bool:
    """True for the name of an entry, or of what entries lie below (§3.2)."""
    return len(name) <= MAX_ENTRY_OCTETS and _ENTRY.fullmatch(name) is not None


def is_entry(name: str) -> bool:
    """True for the name of an entry that may have a value."""
    return is_path(name) and name.lower() not in _ROOTS
