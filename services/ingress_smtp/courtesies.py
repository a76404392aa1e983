"""Courtesies: what a listener does for a client besides taking its mail. Pure.

It tells whether an address is known (VRFY) and whom it stands for (EXPN), releases what waits for a
site that has come up (ETRN), explains itself (HELP), and makes addresses whole that are meant for
this house but do not say so: those without a domain, and those at one of our own IP addresses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from posthouse.mail.address import is_local_part
from posthouse.mail.networks import NOWHERE, Networks

Openness: TypeAlias = Literal["off", "authenticated", "on"]
OF_ACCOUNT = "account"  # in place of a default domain: the one of whoever submits
_LITERAL = re.compile(r"\[(?:ipv6:)?([0-9a-f:.]+)\]", re.IGNORECASE)  # RFC 5321 §4.1.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Courtesies:
    """What is done on one listener.

    Attributes:
        vrfy: Who is told whether an address is known.
        expn: Who is told the members of a list.
        etrn: Mail that waits for a domain is released for its servers.
        default_domain: For addresses that an account gives without one; empty refuses them, see
            `OF_ACCOUNT`.
        own_addresses: Literals of these are `literal_domain`.
        literal_domain: One of ours; empty: these literals are nothing special.
    """

    vrfy: Openness = "off"
    expn: Openness = "off"
    etrn: bool = False
    default_domain: str = ""
    own_addresses: Networks = NOWHERE
    literal_domain: str = ""

    def whole(self, address: str, account: str) -> str | None:
        """Return ``address`` as ``account`` means it; None if it lacks a domain and gets none."""
        if is_local_part(address):
            domain = domain_for(self.default_domain, account)
            return f"{address}@{domain}" if domain else None
        if self.literal_domain and address.endswith("]"):
            local, _, domain = address.rpartition("@")
            literal = _LITERAL.fullmatch(domain)
            if literal and literal[1] in self.own_addresses:
                return f"{local}@{self.literal_domain}"
        return address


def is_open(openness: Openness, account: str) -> bool:
    """True if ``account``, empty for a stranger, is told."""
    return openness == "on" or (openness == "authenticated" and bool(account))


def domain_for(default: str, account: str) -> str:
    """Return the domain that an address of ``account`` without one gets; empty for none."""
    if not account:
        return ""
    return account.rpartition("@")[2] if default == OF_ACCOUNT else default
