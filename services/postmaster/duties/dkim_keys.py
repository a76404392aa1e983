"""The locksmith: successors of DKIM keys take over once DNS shows them, old ones go after a while.

* rotates, pending ─▶ DNS shows it ─▶ active, the one before it retiring ─▶ retired some days later
* active ─▶ DNS does not show it any more: the log tells of it
* active for long, if the operator wants that ─▶ a successor is made, to be published
* sealed before POSTHOUSE_DKIM_SECRET was set ─▶ sealed anew
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from posthouse.resolver import Resolver
from posthouse.runtime.dkim_keys import DkimSettings
from posthouse.storage.dkim_keys import (
    DkimKey,
    activate,
    aged_keys,
    count_faulty,
    note_check,
    reseal,
    retire_old,
    sealed_keys,
    unseen_keys,
    waiting_keys,
)
from posthouse.storage.pool import Pool, transaction
from posthouse.telemetry import metrics
from posthouse.telemetry.logs import get_logger
from postmaster.dkim_making import published_fault, rotate

AT_ONCE = 100  # keys in a round; the others' turn is the next one
LOOK_AT_WELL, LOOK_AT_FAULTY = timedelta(hours=1), timedelta(minutes=4)  # keys that sign

_waiting = metrics.gauge(
    "posthouse_postmaster_dkim_keys_unpublished", "DKIM keys that wait for being published"
)
_faulty = metrics.gauge(
    "posthouse_postmaster_dkim_keys_faulty", "DKIM keys that sign, and DNS shows something else"
)
log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Locksmith:
    """Turns keys over.

    Attributes:
        pool: Where they are.
        settings: Under which secret new ones are kept.
        nameservers: Who is asked what is published; afresh each time.
        published: How long a key that signs no more is still needed in DNS.
        lasts: After so long a key gets a successor; nothing: never.
    """

    pool: Pool
    settings: DkimSettings
    nameservers: str
    published: timedelta
    lasts: timedelta

    async def look(self) -> None:
        """Do what is due; raise `Unavailable`."""
        if self.lasts:
            await self._make_successors()
        await self._let_successors_sign()
        await self._look_at_active()
        if self.settings.dkim_secret is not None:
            await self._seal_anew()
        if gone := await retire_old(self.pool, self.published):
            log.info("DKIM keys retired: their records may leave DNS", keys=gone)

    async def _make_successors(self) -> None:
        aged = await aged_keys(self.pool, self.lasts, AT_ONCE)
        vault = await self.settings.dkim_vault(self.pool) if aged else None
        for domain in sorted({key.domain for key in aged}):
            if vault is not None:
                for made in await rotate(self.pool, vault, domain):
                    log.warning("DKIM key is old: publish its successor", key=made.name)

    async def _let_successors_sign(self) -> None:
        waiting = await waiting_keys(self.pool, AT_ONCE)
        resolver, left = Resolver(self.nameservers), 0
        for key in waiting:
            if await self._fault(resolver, key):
                left += 1
                continue
            async with transaction(self.pool) as tx:
                await activate(tx, key.domain, key.selector)
            log.info("DKIM key signs", key=key.name)
        _waiting.set(left)

    async def _look_at_active(self) -> None:
        """Tell of keys that sign and that nobody can verify."""
        resolver = Resolver(self.nameservers)
        for key in await unseen_keys(self.pool, LOOK_AT_WELL, LOOK_AT_FAULTY, AT_ONCE):
            fault = await self._fault(resolver, key)
            if fault and fault != key.fault:  # told once
                log.error("DKIM key signs and is not published", key=key.name, why=fault)
        _faulty.set(await count_faulty(self.pool))

    async def _fault(self, resolver: Resolver, key: DkimKey) -> str:
        """Return what DNS shows wrong of ``key``, and note it."""
        fault = await published_fault(resolver, key)
        await note_check(self.pool, key, fault)
        return fault

    async def _seal_anew(self) -> None:
        after, vault = ("", ""), await self.settings.dkim_vault(self.pool)
        while keys := await sealed_keys(self.pool, after, AT_ONCE):
            for key in keys:
                if vault.opens(key) and (sealed := vault.anew(key)):
                    await reseal(self.pool, sealed, key)
                    log.info("DKIM key sealed anew", domain=key.domain, selector=key.selector)
            after = (keys[-1].domain, keys[-1].selector)
