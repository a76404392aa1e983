"""Networks: what of an address is one client."""

from __future__ import annotations

import pytest

from posthouse.mail.networks import Breadth

WIDE = Breadth(ipv4_bits=26, ipv6_bits=48)


@pytest.mark.parametrize(
    ("client", "name"),
    [
        ("192.0.2.77", "192.0.2.64/26"),
        ("::ffff:192.0.2.77", "192.0.2.64/26"),
        ("2001:db8:1:2::1", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        ("unknown", "unknown"),
    ],
)
def test_networks_may_be_wider(client: str, name: str) -> None:
    assert WIDE.network_of(client) == name


def test_a_client_is_an_ipv4_address_and_an_ipv6_network() -> None:
    assert Breadth().network_of("192.0.2.77") == "192.0.2.77"
    assert Breadth().network_of("2001:db8:1:2::1") == "2001:db8:1:2::/64"
    assert Breadth(ipv6_bits=128).network_of("2001:db8:1:2::1") == "2001:db8:1:2::1"
