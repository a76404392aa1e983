"""Patterns in maps: RE2, which takes linear time whatever is written and whatever it reads. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import re2

from posthouse.mail.maps import BadEntry

MAX_MEMORY_OCTETS = 1 << 20  # of what one pattern is compiled to


class Hit(Protocol):
    """What a pattern has found."""

    def groups(self) -> Sequence[str | None]:
        """Return what its groups have found."""


class Pattern(Protocol):
    """A compiled pattern."""

    def search(self, text: str) -> Hit | None:
        """Look for it anywhere in ``text``."""


def compiled(key: str) -> Pattern:
    """Return the pattern in ``key``, which stands between bars; raise `BadEntry`."""
    options = re2.Options()
    options.max_mem = MAX_MEMORY_OCTETS
    options.log_errors = False
    try:
        made: Pattern = re2.compile(key[1:-1], options)
    except re2.error as wrong:
        raise BadEntry(f"RE2 does not know the pattern {key}: {wrong}") from wrong
    return made


def filled(target: str, hit: Hit) -> str:
    r"""Put what the groups of a pattern have found in the place of ``\1`` to ``\9``."""
    for number, text in enumerate(hit.groups()[:9], 1):
        target = target.replace(f"\\{number}", text or "")
    return target
