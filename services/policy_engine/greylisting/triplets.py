"""Triplets: what of client, sender and recipient stays the same when mail comes again. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, ip_network

from policy_engine.rights import read
from posthouse.mail.access_keys import plain_address
from posthouse.mail.address import DETAIL_DELIMITER
from posthouse.storage.greylisting import Triplet

IPV4_LENGTH, IPV6_LENGTH = 24, 64  # hosts of one sender take turns
_SRS = re.compile(r"srs[01][=+-][^=]*=[^=]*=(.+)", re.IGNORECASE)  # hash and day
_BATV = re.compile(r"prvs=[^=]+=(.+)", re.IGNORECASE)  # a signature with its day
_NUMBER = re.compile(r"(?<![a-z])[0-9a-f]*\d[0-9a-f]*(?![a-z])|\d+")


@lru_cache(maxsize=4096)  # each recipient of a message asks the same
def network_of(client: str) -> str:
    """Return the network that a client counts as; empty if it has no address."""
    address = plain_address(client)
    if address is None:
        return ""
    length = IPV4_LENGTH if isinstance(address, IPv4Address) else IPV6_LENGTH
    return str(ip_network((address, length), strict=False))


def steady(sender: str) -> str:
    """Return a sender without what differs from message to message.

    ``prvs=…=anna`` and ``SRS0=…=…=far.test=anna`` lose hash and day, ``list+anna=our.test`` what
    stands behind the delimiter, and numbers of messages are ``#``: return paths of lists (VERP).
    """
    local, _, domain = sender.lower().rpartition("@")
    for wrapped in (_SRS, _BATV):
        if found := wrapped.fullmatch(local):
            local = found[1]
    base, plus, _ = local.partition(DETAIL_DELIMITER)
    local = base if plus and base else local
    return f"{_NUMBER.sub('#', local)}@{domain}" if domain else ""


def triplet(client: str, sender: str, recipient: str) -> Triplet | None:
    """Return who wants to send to whom from where; None if that cannot be told."""
    network, address = network_of(client), read(recipient)
    if not network or address is None:
        return None
    base = f"{address.detail(DETAIL_DELIMITER)[0].lower()}@{address.domain}"
    return Triplet(network=network, sender=steady(sender), recipient=base)
