"""Which route or relay counts for a mail, and when it is open."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from delivery_remote.routes import Closed
from delivery_remote.ways.table import LOOK_AGAIN, Table, closed
from posthouse.mail.hops import parse_hop
from posthouse.storage.directory import Relay, Route

HOPS = (parse_hop("relay.test"),)
NOW = datetime(2026, 11, 20, 1, 0, tzinfo=UTC)
TABLE = Table(
    [
        Route(domain=pattern, hops=HOPS)
        for pattern in ("*", "exact.test", ".sub.test", ".deep.sub.test", "[192.0.2.1]")
    ],
    [
        Relay(sender=sender, hops=HOPS)
        for sender in ("boss@our.test", "@our.test", "@.our.test", "<>")
    ],
)


@pytest.mark.parametrize(
    ("domain", "sender", "counts"),
    [
        ("exact.test", "boss@our.test", "exact.test"),
        ("a.sub.test", "boss@our.test", ".sub.test"),
        ("a.deep.sub.test", "x@far.test", ".deep.sub.test"),
        ("deep.sub.test", "x@far.test", ".sub.test"),
        ("sub.test", "x@far.test", "*"),
        ("far.exact.test", "x@far.test", "*"),
        ("[192.0.2.1]", "boss@our.test", "[192.0.2.1]"),
        ("[192.0.2.2]", "x@far.test", "*"),
        ("far.test", "Boss@our.test", "boss@our.test"),
        ("far.test", "anna@our.test", "@our.test"),
        ("far.test", "anna@a.b.our.test", "@.our.test"),
        ("far.test", "", "<>"),
        ("far.test", "x@far.test", "*"),
    ],
)
def test_what_fits_best_counts(domain: str, sender: str, counts: str) -> None:
    found = TABLE.find(domain, sender)

    assert isinstance(found, Route | Relay)
    assert counts == (found.domain if isinstance(found, Route) else found.sender)


def test_without_routes_mail_goes_by_mx() -> None:
    assert Table().find("far.test", "anna@our.test") is None


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
