"""Budgets: what messages in reception may take in all, of memory and of the spool.

A message counts with the octets that it has in memory now; until it is accepted these are there
up to three times (received, with our fields on top, on the way to the store), so a budget of
memory is a third of what may be used.
"""

from __future__ import annotations

from posthouse.telemetry.metrics import gauge

_MEMORY = gauge("posthouse_ingress_reception_octets", "Octets of messages in reception in memory.")
_DISK = gauge("posthouse_ingress_spool_octets", "Octets of messages in the spool.")


class Budget:
    """A number of octets that all sessions share."""

    def __init__(self, octets: int, *, is_disk: bool = False) -> None:
        self._free = octets
        self._used = _DISK if is_disk else _MEMORY

    @property
    def is_spent(self) -> bool:
        """True if no message should be begun now."""
        return self._free <= 0

    def take(self, octets: int) -> bool:
        """Take ``octets``; False if there are not so many."""
        if octets > self._free:
            return False
        self._free -= octets
        self._used.inc(octets)
        return True

    def give_back(self, octets: int) -> None:
        """Return what was taken."""
        self._free += octets
        self._used.dec(octets)


class Share:
    """What one message has taken of a budget; to be closed when it is done."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._taken = 0

    def close(self) -> None:
        """Give everything back; idempotent."""
        if self._taken:
            self._budget.give_back(self._taken)
            self._taken = 0

    def grow_to(self, octets: int) -> bool:
        """Hold ``octets`` in all; False if the budget has not so many left."""
        more = octets - self._taken
        if more <= 0:
            return True
        if not self._budget.take(more):
            return False
        self._taken = octets
        return True
