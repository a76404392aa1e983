"""Rates in settings: ``300/1m``, ``1000/10m``; 0 is no limit. And whom they concern."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator
from pydantic_settings import NoDecode

from posthouse.credentials.failures import PATIENCE, Failures
from posthouse.mail.networks import NOWHERE, USUAL, Breadth, Networks, parse_networks
from posthouse.mail.rates import UNLIMITED, Buckets, Rate
from posthouse.runtime.client_settings import ClientSettings, NetworkList
from posthouse.runtime.durations import parse_duration
from posthouse.runtime.rates import SharedRates
from posthouse.telemetry.logs import get_logger

MAX_COUNT = 100_000_000
LONGEST = timedelta(days=7)
_MAX_NAMES = 10_000

log = get_logger()


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


RateSetting = Annotated[Rate, NoDecode, BeforeValidator(parse_rate)]


class RateSettings(ClientSettings):
    """What all services that people log in to are told of rates.

    Attributes:
        rate_login_failures: Failed logins of one client network, by SMTP, IMAP and POP3 together.
        rate_exempt: Networks whose clients have no rate; accounts have theirs wherever they are.
    """

    rate_login_failures: RateSetting = PATIENCE
    rate_exempt: NetworkList = "127.0.0.0/8,::1"

    @property
    def clients(self) -> Clients:
        """Who is one client."""
        return Clients(self.breadth, parse_networks(self.rate_exempt))

    def login_failures(self, rates: SharedRates) -> Failures:
        """Return the count of failed logins, kept with ``rates``."""
        return Failures(
            rates.buckets, self.rate_login_failures, self.clients.name, ask=rates.refresh
        )

    def turnstile(self, rates: SharedRates, what: str, rate: Rate) -> Turnstile:
        """Return who counts connections as ``what``, kept with ``rates``."""
        return Turnstile(buckets=rates.buckets, rate=rate, what=what, name=self.clients.name)


class Clients:
    """Who is one client, and who is none."""

    def __init__(self, breadth: Breadth = USUAL, exempt: Networks = NOWHERE) -> None:
        """Count clients by so much of their addresses, and those of ``exempt`` not at all."""
        self._breadth = breadth
        self._exempt = exempt
        self._names: dict[str, str] = {}

    def name(self, client: str) -> str:
        """Return what stands for the client with this address; empty if it is not counted."""
        name = self._names.get(client)
        if name is None:
            if len(self._names) >= _MAX_NAMES:
                self._names.clear()
            name = "" if client in self._exempt else self._breadth.network_of(client)
            self._names[client] = name
        return name


@dataclass(frozen=True, slots=True, kw_only=True)
class Turnstile:
    """Lets clients in at a rate.

    Attributes:
        buckets: Where their connections are counted; by default for this process alone.
        rate: So many of one client; by default as many as it likes.
        what: As what they are counted.
        name: Returns what stands for a client; empty if it is not counted.
    """

    buckets: Buckets = field(default_factory=Buckets)
    rate: Rate = UNLIMITED
    what: str = "connections"
    name: Callable[[str], str] = USUAL.network_of

    def lets_in(self, client: str) -> bool:
        """Count a connection of ``client``; False if it is one too many."""
        name = self.name(client)
        if not name or self.buckets.take((name, self.what), self.rate):
            return True
        log.info("limited", what=self.what, who=name)
        return False
