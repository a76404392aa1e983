"""What processes tell each other of sites: who else talks to one, and what it said.

Every two seconds, one statement for all sites in use. Each of N users takes one Nth of a site's
sessions; "not now", said to one, counts for all. While PostgreSQL is away each goes on with what it
last heard.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from itertools import islice
from types import TracebackType
from typing import Self
from uuid import uuid4

from delivery_remote.pace.site import Hall, Site
from posthouse.mail.errors import Unavailable
from posthouse.runtime.duties import Duties
from posthouse.storage.pool import Pool
from posthouse.storage.sites import COUNTED, Use, exchange_uses, forget_uses
from posthouse.telemetry.outages import Outage

EXCHANGE = timedelta(seconds=2)
FORGET = timedelta(minutes=1)
MAX_TOLD = 2000  # sites in one exchange; more share what they have
MAX_FORGOTTEN = 10_000  # rows at once


class Sharing:
    """Keeps the sites of ``hall`` in step with those of other processes: ``async with``."""

    def __init__(self, pool: Pool, hall: Hall, *, every: timedelta = EXCHANGE) -> None:
        self._pool = pool
        self._hall = hall
        self._every = every.total_seconds()
        self._pod = uuid4().hex
        self._outage = Outage("sites not shared", "sites shared again")
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

    async def exchange(self) -> None:
        """Tell of the sites that are in use, and hear of them; an outage changes nothing."""
        used = (site for site in self._hall.sites.values() if _is_used(site))
        sites = {site.name: site for site in islice(used, MAX_TOLD)}
        if not sites:
            return
        uses = [Use(name, site.paused(), site.trouble) for name, site in sites.items()]
        try:
            heard = await exchange_uses(self._pool, self._pod, uses)
        except Unavailable as outage:
            self._outage.away(str(outage))
            return
        self._outage.over()
        for name, site in sites.items():
            others = heard.get(name)
            site.pods = 1 + (others.users if others else 0)
            if others:
                site.strained_elsewhere(others.paused, others.trouble)

    async def _keep_exchanging(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            await self.exchange()

    async def _keep_forgetting(self) -> None:
        while True:
            await asyncio.sleep(FORGET.total_seconds())
            with suppress(Unavailable):  # the exchange tells of outages
                while await forget_uses(self._pool, MAX_FORGOTTEN) == MAX_FORGOTTEN:
                    pass


def _is_used(site: Site) -> bool:
    return site.unused() < COUNTED.total_seconds()
