"""Reception: how a message that comes in is received."""

from __future__ import annotations

from dataclasses import dataclass

from ingress_smtp.draft import Draft, Space
from ingress_smtp.hygiene import Inspection, Rules
from ingress_smtp.letterhead import Letterhead


@dataclass(frozen=True, slots=True, kw_only=True)
class Reception:
    """What all sessions share while they receive.

    Attributes:
        space: What messages may take.
        rules: The form that they must have.
    """

    space: Space
    rules: Rules

    def open(self, letterhead: Letterhead | None, *, limit: int, is_binary: bool = False) -> Draft:
        """Return a message to be received, of at most ``limit`` octets; close it in the end."""
        inspection = Inspection(self.rules, limit=limit, is_binary=is_binary)
        return Draft(inspection, letterhead, self.space)
