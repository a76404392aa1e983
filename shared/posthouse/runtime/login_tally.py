"""Logins of SMTP, IMAP and POP3, counted for who watches over accounts: never in the way of anybody."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta
from functools import partial

from posthouse.credentials.exchange import Channel
from posthouse.mail.networks import Breadth
from posthouse.runtime.tally import Tally
from posthouse.storage.ledger.entries import storable
from posthouse.storage.outbound.logins import Logins, add_logins
from posthouse.storage.pool import Pool
from posthouse.telemetry.metrics import counter
from posthouse.telemetry.outages import Outage

EVERY = timedelta(seconds=5)
TOLD_FOR = timedelta(minutes=10)  # who comes from where is told again after that
MAX_TOLD = 50_000
MAX_NAME_CHARACTERS = 320
PLACES = Breadth(ipv4_bits=24, ipv6_bits=48)  # one network of somebody who logs in

_dropped = counter("posthouse_logins_uncounted_total", "Logins that nobody watching heard of.")


class LoginTally:
    """Hears of logins; use `counting` as a context manager around it."""

    def __init__(self, pool: Pool, clock: Callable[[], float] = time.monotonic) -> None:
        self.counting = Tally[Logins](
            partial(add_logins, pool),
            EVERY,
            outage=Outage("logins not counted", "logins counted again"),
            drop=_dropped.inc,
        )
        self._clock = clock
        self._told: OrderedDict[tuple[str, str], float] = OrderedDict()

    def __call__(self, user: str, channel: Channel, *, is_right: bool) -> None:
        """Count a login under the name ``user``; where a right one comes from, once in `TOLD_FOR`."""
        name = storable(user[:MAX_NAME_CHARACTERS].lower())
        if not is_right:
            self.counting.add(Logins(account=name, wrong=1))
            return
        network = PLACES.network_of(channel.client)
        if network and self._is_news((name, network)):
            self.counting.add(Logins(account=name, network=network))

    def _is_news(self, place: tuple[str, str]) -> bool:
        now = self._clock()
        if self._told.get(place, float("-inf")) > now:
            return False
        self._told[place] = now + TOLD_FOR.total_seconds()
        self._told.move_to_end(place)
        if len(self._told) > MAX_TOLD:
            self._told.popitem(last=False)
        return True
