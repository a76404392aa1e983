"""The way of new mail into the ledger: many callers, few commits (promise 1)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from posthouse.mail.errors import Unavailable
from posthouse.storage.ledger.entries import NewMail, enter
from posthouse.storage.ledger.grouping import GroupCommit
from posthouse.storage.ledger.settling import enter_discarded
from posthouse.storage.pool import Pool
from posthouse.telemetry import metrics

AGAIN_WITHIN = timedelta(seconds=2)

_MAILS = metrics.counter("posthouse_ledger_accepted_total", "Mails committed to the ledger.")
_COMMITS = metrics.counter("posthouse_ledger_accept_commits_total", "Commits that carried them.")


class Intake(GroupCommit[NewMail, None]):
    """Takes mail into the ledger; use it as a context manager around the listeners."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(self._enter, is_wanted_by_caller=True)
        self._pool = pool

    async def accept(self, mail: NewMail) -> None:
        """Return after ``mail`` is committed: 250 may be said.

        Raises `Unavailable` when it was not confirmed: say 4yz, and leave the stored octets to
        the collector, because the commit may have happened unheard.
        """
        await self.submit(mail)

    async def discard(self, mail: NewMail, rule: str) -> None:
        """Enter ``mail`` as discarded by ``rule``, for all of its recipients: 250 may be said.

        Nothing of it is published, and its octets need not be stored. Raises `Unavailable`.
        """
        await enter_discarded(self._pool, mail, rule)

    async def _enter(self, mails: Sequence[NewMail]) -> Sequence[None]:
        """Write, and once more if the connection broke: the first try may be committed or not."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            await enter(self._pool, mails)
        except Unavailable:
            if loop.time() - started > AGAIN_WITHIN.total_seconds():
                raise  # the senders have waited long enough
            await enter(self._pool, mails)
        _COMMITS.inc()
        _MAILS.inc(len(mails))
        return [None] * len(mails)
