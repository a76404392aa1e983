"""Rates in settings: ``300/1m``, ``1000/10m``; 0 is no limit. And whom they concern."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, TypeAlias

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from posthouse.credentials.failures import PATIENCE, Failures, network_of
from posthouse.mail.rates import UNLIMITED, Rate
from posthouse.runtime.durations import parse_duration
from posthouse.runtime.rates import SharedRates
from posthouse.runtime.settings import CommonSettings

MAX_COUNT = 100_000_000
LONGEST = timedelta(days=7)
_MAX_NAMES = 10_000

Network: TypeAlias = IPv4Network | IPv6Network


def parse_rate(text: object) -> Rate:
    """Read ``300/1m`` (300 in a minute) or 0 (no limit); raise `ValueError` otherwise."""
    if isinstance(text, Rate):
        return text
    count, slash, period = str(text).strip().partition("/")
    if count == "0":
        return UNLIMITED
    if not (slash and count.isascii() and count.isdigit() and int(count) <= MAX_COUNT):
        raise ValueError("must look like 300/1m, or be 0 for no limit")
    length = parse_duration(period)
    if not timedelta() < length <= LONGEST:
        raise ValueError("must be so many in a time of at most 7d, like 300/1m")
    return Rate(int(count), length)


def parse_networks(text: object) -> tuple[Network, ...]:
    """Read ``127.0.0.0/8,::1``; raise `ValueError` if one is no network."""
    if not isinstance(text, str):
        return tuple(text) if isinstance(text, Sequence) else ()
    parts = [part.strip() for part in text.split(",") if part.strip()]
    try:
        return tuple(map(ip_network, parts))
    except ValueError as wrong:
        raise ValueError(f"must be networks: {wrong}") from wrong


RateSetting = Annotated[Rate, NoDecode, BeforeValidator(parse_rate)]
Networks = Annotated[tuple[Network, ...], NoDecode, BeforeValidator(parse_networks)]


class RateSettings(CommonSettings):
    """What all services that people log in to are told of rates.

    Attributes:
        rate_login_failures: Failed logins of one client network, by SMTP, IMAP and POP3 together.
        rate_ipv4_bits: How much of an IPv4 address stands for a client.
        rate_ipv6_bits: How much of an IPv6 address does.
        rate_exempt: Networks whose clients have no rate; accounts have theirs wherever they are.
    """

    rate_login_failures: RateSetting = PATIENCE
    rate_ipv4_bits: Annotated[int, Field(ge=8, le=32)] = 32
    rate_ipv6_bits: Annotated[int, Field(ge=32, le=128)] = 64
    rate_exempt: Networks = parse_networks("127.0.0.0/8,::1")

    @property
    def clients(self) -> Clients:
        """Who is one client."""
        return Clients(self.rate_ipv4_bits, self.rate_ipv6_bits, self.rate_exempt)

    def login_failures(self, rates: SharedRates) -> Failures:
        """Return the count of failed logins, kept with ``rates``."""
        return Failures(
            rates.buckets, self.rate_login_failures, self.clients.name, ask=rates.refresh
        )


class Clients:
    """Who is one client, and who is none."""

    def __init__(
        self, ipv4_bits: int = 32, ipv6_bits: int = 64, exempt: tuple[Network, ...] = ()
    ) -> None:
        """Count clients by so many bits of their addresses, and those of ``exempt`` not at all."""
        self._bits = (ipv4_bits, ipv6_bits)
        self._exempt = exempt
        self._names: dict[str, str] = {}

    def name(self, client: str) -> str:
        """Return what stands for the client with this address; empty if it is not counted."""
        name = self._names.get(client)
        if name is None:
            if len(self._names) >= _MAX_NAMES:
                self._names.clear()
            name = "" if self._is_exempt(client) else network_of(client, *self._bits)
            self._names[client] = name
        return name

    def _is_exempt(self, client: str) -> bool:
        try:
            address = ip_address(client)
        except ValueError:
            return False
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self._exempt)
