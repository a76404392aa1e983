"""Failed logins per client network: who guesses again and again is not listened to for a while.

Each failure is answered later than the one before. A network that has used up its failures is
locked out for the whole period; who fails again right behind it is so anew. The account that
somebody tried to enter is never locked, or anybody could lock anybody out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from posthouse.mail.networks import USUAL
from posthouse.mail.rates import Buckets, Rate

MAX_FAILURES = 50  # in the window below; an office behind one address needs some
WINDOW = timedelta(minutes=10)
LONGEST_PAUSE = timedelta(seconds=30)
PATIENCE = Rate(MAX_FAILURES, WINDOW)
WHAT = "login-failures"
FRESH = 1.0  # seconds
_MAX_DOUBLINGS = 10

T = TypeVar("T")


@dataclass(slots=True)
class Failures:
    """Counts failures per client network.

    Attributes:
        buckets: Where they are counted; by default for this process alone.
        rate: More than these lock a network out; `posthouse.mail.rates.UNLIMITED` never does.
        name: Returns what stands for a client; empty if it is never locked out.
        ask: Returns when it is known what other pods have counted; by default there are none.
    """

    buckets: Buckets = field(default_factory=Buckets)
    rate: Rate = PATIENCE
    name: Callable[[str], str] = USUAL.network_of
    ask: Callable[[], Awaitable[None]] | None = None

    async def unless_too_many(self, client: str, verify: Callable[[], Awaitable[T]]) -> T | None:
        """Return what ``verify`` finds out; None, and nobody learns of it, if ``client`` is locked out.

        What other pods have counted is heard before: by the way, where this one knows of no reason.
        """
        if self.are_too_many(client):
            if ask := self._question(client):
                await ask()
            if self.are_too_many(client):
                return None
        ask = self._question(client)
        asking = asyncio.ensure_future(ask()) if ask else None
        try:
            found = await verify()
        finally:
            if asking is not None:
                await asking
        return None if self.are_too_many(client) else found  # or many guessed at once

    def _question(self, client: str) -> Callable[[], Awaitable[None]] | None:
        """Return what asks the other pods; None if that was done just now, or concerns nobody."""
        name = self.name(client)
        is_known = not name or self.buckets.is_fresh((name, WHAT), FRESH)
        return None if is_known else self.ask

    def are_too_many(self, client: str) -> bool:
        """True if ``client`` is not to be verified now, as far as this pod knows."""
        name = self.name(client)
        return bool(name) and not self.buckets.has_room((name, WHAT), self.rate)

    def add(self, client: str) -> int:
        """Count one more of ``client``; return its recent failures, on all pods as far as known."""
        name = self.name(client)
        if not name:
            return 1
        number = self.buckets.add((name, WHAT), self.rate)
        if self.rate.most and number >= self.rate.most:  # locked out until it has room again
            self.buckets.add((name, WHAT), self.rate, self.rate.most)
        return max(1, number)


def pause_after(failures: int, first: timedelta) -> float:
    """Return in how many seconds a failed login is answered: ``first``, then doubled each time."""
    doubled = first.total_seconds() * 2.0 ** min(failures - 1, _MAX_DOUBLINGS)
    longest = max(first, LONGEST_PAUSE).total_seconds()
    return min(doubled, longest)
