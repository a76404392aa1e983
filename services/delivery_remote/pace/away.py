"""How long a mail stays away that found too much before it: until about when its turn may come. Pure.

The broker has few waits. A mail takes the longest one during which the site has enough to do
without it: what waits here, and what comes back meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

ROUNDS = (5, 30, 60, 300)  # seconds
OF_LATE = 50  # beginnings that tell the speed
MAX_AWAY = 100_000  # of one round at one site; more are not counted


def _rounds() -> Mapping[int, deque[float]]:
    return {seconds: deque(maxlen=MAX_AWAY) for seconds in ROUNDS}


@dataclass(slots=True)
class Away:
    """Those of one site that wait with the broker for their turn."""

    _begun: deque[float] = field(default_factory=lambda: deque(maxlen=OF_LATE))
    _back_at: Mapping[int, deque[float]] = field(default_factory=_rounds)

    def begun(self, now: float) -> None:
        """One was begun."""
        self._begun.append(now)

    def send(self, now: float, waiting: int) -> timedelta:
        """Return how long one stays away, while so many are ``waiting`` here."""
        speed, enough, chosen = self._speed(now), waiting, ROUNDS[0]
        for seconds, back_at in self._back_at.items():
            while back_at and back_at[0] <= now:
                back_at.popleft()
            if enough >= speed * seconds:
                chosen = seconds
            enough += len(back_at)
        self._back_at[chosen].append(now + chosen)
        return timedelta(seconds=chosen)

    def _speed(self, now: float) -> float:
        """Return how many are begun in a second, of late."""
        if len(self._begun) <= 1:
            return 1.0
        return len(self._begun) / max(now - self._begun[0], 0.1)
