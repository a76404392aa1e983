"""What operators have set, and which of it counts for one mail. Pure.

the route of the domain itself, else of all below the nearest domain above it
else what the sender has: the address, its domain, all below the nearest domain above
else the route *
else the domain's MX records
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from delivery_remote.routes import Closed
from posthouse.mail.patterns import EVERYTHING, patterns_of, sender_patterns_of
from posthouse.mail.windows import BadWindows, parse_windows
from posthouse.storage.directory import Relay, Route

LOOK_AGAIN = timedelta(hours=4)  # at a way without hours of its own; the longest wait of the broker


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


def closed(entry: Route | Relay | None, now: datetime) -> Closed | None:
    """Return for how long nobody goes this way unasked; None if it is open."""
    if not isinstance(entry, Route):
        return None
    if entry.window is not None:
        try:
            left = parse_windows(entry.window).opens_in(now)
        except BadWindows as wrong:  # a time zone that is known elsewhere and not here
            return Closed(LOOK_AGAIN, f"the route's window cannot be read: {wrong}")
        return Closed(left, f"the route opens {entry.window}") if left else None
    return Closed(LOOK_AGAIN, "the route holds mail until it is asked for") if entry.hold else None
