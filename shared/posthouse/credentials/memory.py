"""What came of a password a moment ago: mail clients log in again and again, often at once."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from datetime import timedelta
from typing import Generic, TypeVar

from posthouse.telemetry.probes import Clock

MAX_REMEMBERED = 10_000

T = TypeVar("T")


class Memory(Generic[T]):
    """Remembers under an HMAC whose key never leaves the process; forgets what is old or unused.

    Args:
        span: For how long.
        clock: Seconds that only go forward.
    """

    def __init__(self, span: timedelta, clock: Clock = time.monotonic) -> None:
        self._span = span.total_seconds()
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, tuple[float, T]] = OrderedDict()

    def key(self, whose: str, password: str) -> bytes:
        """Return under what a password is remembered: of a user, or for a stored hash."""
        return hmac.digest(self._secret, f"{whose}\0{password}".encode(), hashlib.sha256)

    def recall(self, key: bytes) -> T | None:
        """Return what was kept; None if nothing, or too old."""
        entry = self._known.get(key)
        if entry is None:
            return None
        if entry[0] <= self._clock():
            del self._known[key]
            return None
        self._known.move_to_end(key)
        return entry[1]

    def keep(self, key: bytes, value: T) -> None:
        """Remember it, and forget what was unused for longest if there is too much."""
        self._known[key] = (self._clock() + self._span, value)
        self._known.move_to_end(key)
        if len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)
