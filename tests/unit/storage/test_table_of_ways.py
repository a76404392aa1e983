"""Which route or relay counts for a mail."""

from __future__ import annotations

import pytest

from posthouse.mail.hops import parse_hop
from posthouse.storage.directory import Relay, Route, Table

HOPS = (parse_hop("relay.test"),)
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
