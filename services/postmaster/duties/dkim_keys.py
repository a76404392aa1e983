"""The locksmith: successors of DKIM keys take over once DNS shows them, old ones go after a while.

rotates, pending ─▶ DNS shows it ─▶ active, the one before it retiring ─▶ retired
some days later.
active for long, if the operator wants that ─▶ a successor is made, to be published
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from posthouse.resolver import Resolver
from posthouse.runtime.dkim_keys import DkimSettings
from posthouse.storage.dkim_keys import (
    activate,
    aged_keys,
    note_check,
    retire_old,
    waiting_keys,
)
from posthouse.storage.pool import Pool, transaction
from posthouse.telemetry import metrics
from posthouse.telemetry.logs import get_logger
from postmaster.dkim_making import published_fault, rotate

AT_ONCE = 100  # keys in a round; the others' turn is the next one

_waiting = metrics.gauge(
    "posthouse_postmaster_dkim_keys_unpublished", "DKIM keys that wait for being published"
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
            fault = await published_fault(resolver, key)
            await note_check(self.pool, key, fault)
            if fault:
                left += 1
                continue
            async with transaction(self.pool) as tx:
                await activate(tx, key.domain, key.selector)
            log.info("DKIM key signs", key=key.name)
        _waiting.set(left)
