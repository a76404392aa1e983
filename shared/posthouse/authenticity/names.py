"""What the checks ask of DNS; `posthouse.resolver.Resolver` answers."""

from __future__ import annotations

from typing import Literal, Protocol

from posthouse.mail.answers import Answer, Exchange


class Names(Protocol):
    """DNS, as far as senders are known by it. Nothing raises: failures are answers."""

    async def txt(self, name: str) -> Answer[str]:
        """Return the text records of ``name``, the strings of each put together."""

    async def mx(self, domain: str) -> Answer[Exchange]:
        """Return the exchanges of ``domain``, best first."""

    async def hosts(self, name: str, version: Literal[4, 6]) -> Answer[str]:
        """Return the addresses of ``name`` in one family."""

    async def pointers(self, address: str) -> Answer[str]:
        """Return the names that the reverse zone gives for an IP address."""
