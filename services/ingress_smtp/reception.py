"""The budget of memory for messages that are being received, over all sessions of a process.

It counts octets as they come in; until a message is accepted it is in memory up to three times
(received, without its doubled dots, with our fields on top), so a third of what may be used.
"""

from __future__ import annotations

from posthouse.telemetry.metrics import gauge

_USED = gauge("posthouse_ingress_reception_octets", "Octets of messages in reception.")


class Budget:
    """A number of octets that all sessions share."""

    def __init__(self, octets: int) -> None:
        self._free = octets

    @property
    def is_spent(self) -> bool:
        """True if no message should be begun now."""
        return self._free <= 0

    def open(self) -> Share:
        """Return one message's share, to be closed when it is done: ``with budget.open()``."""
        return Share(self)

    def take(self, octets: int) -> bool:
        """Take ``octets``; False if there are not so many."""
        if octets > self._free:
            return False
        self._free -= octets
        _USED.inc(octets)
        return True

    def give_back(self, octets: int) -> None:
        """Return what was taken."""
        self._free += octets
        _USED.dec(octets)


class Share:
    """What one message has taken of the budget."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._taken = 0

    def __enter__(self) -> Share:
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.give_back(self._taken)

    def grow_to(self, octets: int) -> bool:
        """Hold ``octets`` in all; False if the budget has not so many left."""
        more = octets - self._taken
        if more <= 0:
            return True
        if not self._budget.take(more):
            return False
        self._taken = octets
        return True
