"""When a way that an operator has set is closed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from delivery_remote.routes import Closed
from delivery_remote.ways.closing import LOOK_AGAIN, closed
from posthouse.mail.hops import parse_hop
from posthouse.storage.directory import Relay, Route

HOPS = (parse_hop("relay.test"),)
NOW = datetime(2026, 11, 20, 1, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("window", "left"),
    [
        (None, None),
        ("daily 02:00-04:00", timedelta(hours=1)),
        ("daily 00:00-04:00", None),
        ("daily 02:00-04:00 Gone/Away", LOOK_AGAIN),
    ],
)
def test_a_route_with_a_window_is_closed_until_it_opens(
    window: str | None, left: timedelta | None
) -> None:
    shut = closed(Route(domain="*", hops=HOPS, window=window), NOW)

    assert left == (shut and shut.left)


def test_a_route_that_holds_is_closed_until_somebody_asks() -> None:
    shut = closed(Route(domain="*", hops=HOPS, hold=True), NOW)

    assert shut == Closed(LOOK_AGAIN, "the route holds mail until it is asked for")


def test_what_is_no_route_is_never_closed() -> None:
    assert closed(Relay(sender="<>", hops=HOPS), NOW) is None
    assert closed(None, NOW) is None
