"""When a way that an operator has set is closed. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache

from delivery_remote.routes import Closed
from posthouse.mail.windows import BadWindows, parse_windows
from posthouse.storage.directory import Relay, Route

LOOK_AGAIN = timedelta(hours=4)  # at a way without hours of its own; the longest wait of the broker

_windows = lru_cache(maxsize=1000)(parse_windows)


def closed(entry: Route | Relay | None, now: datetime) -> Closed | None:
    """Return for how long nobody goes this way unasked; None if it is open."""
    if not isinstance(entry, Route):
        return None
    if entry.window is not None:
        try:
            left = _windows(entry.window).opens_in(now)
        except BadWindows as wrong:  # a time zone that is known elsewhere and not here
            return Closed(LOOK_AGAIN, f"the route's window cannot be read: {wrong}")
        return Closed(left, f"the route opens {entry.window}") if left else None
    return Closed(LOOK_AGAIN, "the route holds mail until it is asked for") if entry.hold else None
