"""The leases of all sessions of this process, kept alive by one statement every few seconds."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from uuid import UUID, uuid4

from posthouse.mail.errors import Unavailable
from posthouse.storage import maildrop
from posthouse.storage.maildrop import Lease
from posthouse.storage.pool import Pool
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

RENEWAL = maildrop.LEASE / 4  # three chances before a lease is over

log = get_logger()
_lost = counter("posthouse_pop3_leases_lost_total", "Maildrop locks that ended under a session.")


class Leases:
    """Takes, renews and gives back leases."""

    def __init__(self, pool: Pool, renewal: timedelta = RENEWAL) -> None:
        self._pool = pool
        self._renewal = renewal.total_seconds()
        self._held: dict[UUID, Lease] = {}

    async def take(self, account: int) -> Lease:
        """Take the maildrop of ``account``; raise `InUse` or `Unavailable`."""
        lease = Lease(account=account, holder=uuid4())
        await maildrop.take(self._pool, lease)
        self._held[lease.holder] = lease
        return lease

    def is_held(self, lease: Lease) -> bool:
        """False once the lease is known to be lost."""
        return lease.holder in self._held

    async def give_back(self, lease: Lease) -> None:
        """End the lease; if PostgreSQL is away it ends by itself."""
        if self._held.pop(lease.holder, None) is not None:
            await self.release(lease)

    def forget(self, lease: Lease) -> None:
        """Renew the lease no more: its transaction ends it, or `release` does."""
        self._held.pop(lease.holder, None)

    async def release(self, lease: Lease) -> None:
        """End a lease that is forgotten; if PostgreSQL is away it ends by itself."""
        with suppress(Unavailable):
            await maildrop.release(self._pool, lease)

    async def keep(self) -> None:
        """Renew, for ever: a background duty of the service."""
        while True:
            await asyncio.sleep(self._renewal)
            await self.renew()

    async def renew(self) -> None:
        """Renew all leases once; forget those that were lost."""
        asked = list(self._held.values())
        if not asked:
            return
        try:
            kept = await maildrop.renew(self._pool, asked)
        except Unavailable as trouble:
            log.warning("leases not renewed", reason=str(trouble), count=len(asked))
            return
        for lease in asked:
            # One that was given back meanwhile was not lost.
            if lease.holder not in kept and self._held.pop(lease.holder, None) is not None:
                _lost.inc()
                log.warning("maildrop lock lost", account=lease.account)
