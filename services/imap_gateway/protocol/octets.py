"""Literals that are too large to be held: their octets were put aside, in the order they came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """Octets of a command that are not in it.

    Attributes:
        at: Where in the command they would stand.
        start: Where they begin in what was put aside of the command.
        size: How many they are.
    """

    at: int
    start: int
    size: int


Octets: TypeAlias = bytes | Aside
