"""What operators have set of ways out, and which of it counts for one mail. Pure.

the route of the domain itself, else of all below the nearest domain above it
else what the sender has: the address, its domain, all below the nearest domain above
else the route *
else the domain's MX records
"""

from __future__ import annotations

from collections.abc import Iterable

from posthouse.mail.patterns import EVERYTHING, patterns_of, sender_patterns_of
from posthouse.storage.directory.routes import Relay, Route


class Table:
    """All routes and relays, at one moment."""

    def __init__(self, routes: Iterable[Route] = (), relays: Iterable[Relay] = ()) -> None:
        self._routes = {route.domain: route for route in routes}
        self._relays = {relay.sender: relay for relay in relays}

    def find(self, domain: str, sender: str) -> Route | Relay | None:
        """Return what counts for mail from ``sender`` to ``domain``; None for its MX records."""
        for pattern in patterns_of(domain):
            route = self._routes.get(pattern)
            if route is not None and pattern != EVERYTHING:
                return route
        if self._relays:
            for pattern in sender_patterns_of(sender):
                if pattern in self._relays:
                    return self._relays[pattern]
        return self._routes.get(EVERYTHING)
