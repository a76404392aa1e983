"""Who is one client: what all are told that count clients, at the doors and in rates."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from posthouse.mail.networks import Breadth, parse_networks
from posthouse.runtime.settings import CommonSettings


def _networks(text: str) -> str:
    parse_networks(text)
    return text


NetworkList = Annotated[str, AfterValidator(_networks)]  # see `parse_networks`


class ClientSettings(CommonSettings):
    """How much of an address is one client.

    Attributes:
        client_ipv4_bits: Of an IPv4 address.
        client_ipv6_bits: Of an IPv6 address.
    """

    client_ipv4_bits: Annotated[int, Field(ge=8, le=32)] = 32
    client_ipv6_bits: Annotated[int, Field(ge=32, le=128)] = 64

    @property
    def breadth(self) -> Breadth:
        """Both."""
        return Breadth(ipv4_bits=self.client_ipv4_bits, ipv6_bits=self.client_ipv6_bits)
