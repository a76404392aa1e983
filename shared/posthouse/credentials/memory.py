"""Who was right a moment ago: mail clients log in again and again, often several times at once."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from datetime import timedelta

from posthouse.telemetry.probes import Clock

MAX_REMEMBERED = 10_000


class Memory:
    """Remembers right passwords under an HMAC whose key never leaves the process.

    Args:
        span: For how long.
        clock: Seconds that only go forward.
    """

    def __init__(self, span: timedelta, clock: Clock) -> None:
        self._span = span.total_seconds()
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, tuple[float, str]] = OrderedDict()

    def recall(self, user: str, password: str) -> str | None:
        """Return what was kept of ``user`` with this password; None if nothing, or too old."""
        entry = self._known.get(self._key(user, password))
        return entry[1] if entry is not None and entry[0] > self._clock() else None

    def keep(self, user: str, password: str, address: str) -> None:
        """Remember it, and forget the longest known if there are too many."""
        key = self._key(user, password)
        self._known[key] = (self._clock() + self._span, address)
        self._known.move_to_end(key)
        if len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)

    def _key(self, user: str, password: str) -> bytes:
        return hmac.digest(self._secret, f"{user}\0{password}".encode(), hashlib.sha256)
