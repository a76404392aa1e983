"""Rates and networks as an operator writes them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from posthouse.mail.networks import Breadth, parse_networks
from posthouse.mail.rates import UNLIMITED, Rate
from posthouse.runtime.rate_settings import Clients, parse_rate


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("300/1m", Rate(300, timedelta(minutes=1))),
        (" 5/0.5s ", Rate(5, timedelta(seconds=0.5))),
        ("1000/7d", Rate(1000, timedelta(days=7))),
        ("0", UNLIMITED),
        ("0/1m", UNLIMITED),
        (Rate(1, timedelta(1)), Rate(1, timedelta(1))),
    ],
)
def test_a_rate_is_so_many_in_such_a_time(text: object, rate: Rate) -> None:
    assert parse_rate(text) == rate
    assert parse_rate(str(rate)) == rate


@pytest.mark.parametrize(
    "text",
    ["", "300", "300/", "/1m", "-1/1m", "1/0", "1/8d", "1/1y", "1e3/1m", "²/1m", "9" * 20 + "/1m"],
)
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        parse_rate(text)


def test_networks_may_be_exempt() -> None:
    clients = Clients(Breadth(), parse_networks(" 127.0.0.0/8, ::1,2001:db8::/32 "))

    assert clients.name("127.0.0.9") == clients.name("::1") == clients.name("2001:db8::7") == ""
    assert clients.name("::ffff:127.0.0.1") == ""
    assert clients.name("192.0.2.1") == "192.0.2.1"
    assert clients.name("unknown") == "unknown"


def test_names_are_kept_for_a_bounded_number_of_clients() -> None:
    clients = Clients()
    for n in range(10_001):
        clients.name(f"10.0.{n // 256}.{n % 256}")

    assert len(clients._names) == 1
