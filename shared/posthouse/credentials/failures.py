"""Failed logins per client: who guesses again and again is not listened to for a while.

The window begins anew with each failure. An IPv6 client is counted by its /64, the least that
anybody is given: its addresses within cost nothing to change.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import AddressValueError, IPv6Address

MAX_FAILURES = 50  # in the window below; an office behind one address needs some
WINDOW = timedelta(minutes=10)
MAX_CLIENTS = 10_000
_HOST_BITS = 64


@dataclass(slots=True)
class Failures:
    """Counts failures per client address, for a while and for a bounded number of clients."""

    clock: Callable[[], float] = time.monotonic
    _counts: OrderedDict[str, tuple[float, int]] = field(default_factory=OrderedDict)

    def are_too_many(self, client: str) -> bool:
        """True if ``client`` is not to be verified now."""
        return self._count(network_of(client)) >= MAX_FAILURES

    def add(self, client: str) -> None:
        """Count one more; whoever failed least recently is forgotten when there are too many."""
        key = network_of(client)
        number = self._count(key)
        self._counts[key] = (self.clock() + WINDOW.total_seconds(), number + 1)
        self._counts.move_to_end(key)
        if len(self._counts) > MAX_CLIENTS:
            self._counts.popitem(last=False)

    def _count(self, key: str) -> int:
        until, number = self._counts.get(key, (0.0, 0))
        return number if until > self.clock() else 0


def network_of(client: str) -> str:
    """Return what stands for ``client``: its address, in IPv6 its network."""
    if ":" not in client:
        return client
    try:
        address = IPv6Address(client)
    except AddressValueError:
        return client
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return f"{int(address) >> _HOST_BITS:x}::/64"
