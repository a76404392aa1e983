"""What the bench needs of a mail system, ours or another's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Unfit(Exception):
    """A system cannot be measured here, in words that say what is missing."""


class System(Protocol):
    """A running mail system."""

    @property
    def name(self) -> str:
        """How the table calls it."""

    @property
    def port(self) -> int:
        """Where it takes mail, on loopback."""

    @property
    def processes(self) -> Mapping[str, int]:
        """The roots of its process trees, by name."""

    async def delivered(self) -> int:
        """Return how many messages lie in all mailboxes."""
