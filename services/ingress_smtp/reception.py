"""Reception: where messages that come in find their room."""

from __future__ import annotations

from dataclasses import dataclass

from ingress_smtp.budget import Budget
from ingress_smtp.draft import Draft, Room
from ingress_smtp.hygiene import Inspection, Rules
from ingress_smtp.letterhead import Letterhead
from ingress_smtp.spool import Spool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reception:
    """What all sessions share while they receive.

    Attributes:
        memory: Octets that messages may have in memory.
        disk: Octets that they may have in the spool.
        spool: Where large ones go.
        threshold: Octets from which on a message is large.
        rules: The form that a message must have.
    """

    memory: Budget
    disk: Budget
    spool: Spool
    threshold: int
    rules: Rules

    @property
    def is_full(self) -> bool:
        """True if no message should be begun now."""
        return self.memory.is_spent or self.disk.is_spent

    def open(self, letterhead: Letterhead | None, *, limit: int, is_binary: bool = False) -> Draft:
        """Return a message to be received, of at most ``limit`` octets; close it in the end."""
        room = Room(
            threshold=self.threshold,
            memory=self.memory.open(),
            disk=self.disk.open(),
            spool=self.spool,
        )
        return Draft(Inspection(self.rules, limit=limit, is_binary=is_binary), letterhead, room)
