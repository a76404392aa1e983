"""Rates over all pods: each decides by its own count and hears once a second of the others'.

So the way of a mail pays for a dictionary and no round trip, and a rate may be overshot by what all
pods take within one exchange. While PostgreSQL is away each pod limits by its own count; what it
has taken meanwhile, as far as it still matters, is told afterwards.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import timedelta
from types import TracebackType
from typing import Self

from posthouse.mail.errors import Unavailable
from posthouse.mail.rates import Buckets
from posthouse.runtime.duties import Duties
from posthouse.storage import rates
from posthouse.storage.pool import Pool
from posthouse.telemetry.metrics import counter, gauge, histogram
from posthouse.telemetry.outages import Outage

EXCHANGE = timedelta(seconds=1)
PATIENCE = timedelta(seconds=10)  # of who waits for an exchange
FORGET = timedelta(minutes=1)
MAX_FORGOTTEN = 50_000  # rows at once

_kept = gauge("posthouse_rates_buckets", "Buckets of clients and accounts that this process keeps.")
_exchanges = counter("posthouse_rates_exchanges_total", "Exchanges with the other pods.", "outcome")
_seconds = histogram("posthouse_rates_exchange_seconds", "How long an exchange took.")


class SharedRates:
    """Keeps `buckets` in step with the other pods while it is open: ``async with``.

    Attributes:
        buckets: Where to count.
    """

    def __init__(
        self, pool: Pool, *, every: timedelta = EXCHANGE, patience: timedelta = PATIENCE
    ) -> None:
        self.buckets = Buckets()
        self._pool = pool
        self._every = every.total_seconds()
        self._patience = patience.total_seconds()
        self._outage = Outage("rates limited by this process alone", "rates shared again")
        self._turn = asyncio.Lock()  # an answer must not overtake an older one
        self._duties = Duties()

    async def __aenter__(self) -> Self:
        await self._duties.begin(self._keep_exchanging(), self._keep_forgetting())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._duties.end(kind, error, trace)
        await self.exchange()  # what was taken last

    async def refresh(self) -> None:
        """Exchange at once, for who cannot wait for the next time.

        A PostgreSQL that says nothing for `PATIENCE` is away as one that says so.
        """
        try:
            async with asyncio.timeout(self._patience):
                await self.exchange()
        except TimeoutError:
            self._away(f"no answer in {self._patience:g} s")

    async def exchange(self) -> None:
        """Tell what was taken here and hear what all have taken; an outage changes nothing."""
        async with self._turn:
            await self._exchange()

    async def _exchange(self) -> None:
        told = self.buckets.told()
        _kept.set(self.buckets.size)
        if not told:
            return
        began = time.monotonic()
        try:
            left = await rates.exchange(self._pool, told)
        except Unavailable as outage:
            self.buckets.untold(told)
            self._away(str(outage))
        except asyncio.CancelledError:
            self.buckets.untold(told)
            raise
        else:
            self.buckets.learn(told, left)
            _exchanges.labels("done").inc()
            _seconds.observe(time.monotonic() - began)
            self._outage.over()

    def _away(self, reason: str) -> None:
        _exchanges.labels("unavailable").inc()
        self._outage.away(reason)

    async def _keep_exchanging(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            async with self._turn:  # an answer under way must find its bucket
                self.buckets.forget_empty()
                await self._exchange()

    async def _keep_forgetting(self) -> None:
        while True:
            await asyncio.sleep(FORGET.total_seconds())
            with suppress(Unavailable):  # the exchange tells of outages
                while await rates.forget_empty(self._pool, MAX_FORGOTTEN) == MAX_FORGOTTEN:
                    pass
