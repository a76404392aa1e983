"""Whose turn comes, and how far behind we are: the indexer's duties of one pod at a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from posthouse.bus.indexing import offer
from posthouse.bus.publisher import Publisher
from posthouse.mail.errors import Unavailable
from posthouse.mail.index_work import IndexWork
from posthouse.storage import indexing
from posthouse.storage.pool import Pool
from posthouse.telemetry import metrics

ACCOUNTS_AT_ONCE = 1000
ACCOUNTS_IN_A_WORK = 50
AGAIN_AFTER = timedelta(minutes=10)  # turns that somebody lost
REST = timedelta(seconds=1)  # nothing new has come for so long: see `give_turns`

_waiting = metrics.gauge("posthouse_index_waiting", "Messages that are not indexed yet.")
_lag = metrics.gauge("posthouse_index_lag_seconds", "Since when the first of them waits.")
_coverage = metrics.gauge("posthouse_index_coverage_ratio", "Indexed messages among all, about.")


class Offers:
    """Gives turns to accounts of which anything waits, and puts them on the queue."""

    def __init__(self, pool: Pool, publisher: Publisher) -> None:
        self._pool = pool
        self._publisher = publisher
        self._after = 0  # accounts up to this one were looked at

    async def look(self) -> None:
        """Look at some accounts, the next time at the next ones.

        Raises:
            Unavailable: If PostgreSQL or the broker does not answer.
        """
        waiting = await indexing.waiting_accounts(self._pool, self._after, ACCOUNTS_AT_ONCE)
        accounts, turn = await indexing.give_turns(
            self._pool, waiting, ACCOUNTS_AT_ONCE, AGAIN_AFTER, REST
        )
        if turn is not None:
            try:
                await offer(self._publisher, works(accounts, turn))
            except Unavailable:  # what arrived all the same is nobody's turn any more
                await indexing.take_turns_back(self._pool, accounts, turn)
                raise
        self._after = waiting[-1] if len(waiting) == ACCOUNTS_AT_ONCE else 0


def works(
    accounts: Sequence[int], turn: datetime, together: int = ACCOUNTS_IN_A_WORK
) -> list[IndexWork]:
    """Return pieces of work for the queue, each of so many accounts."""
    starts = range(0, len(accounts), together)
    return [IndexWork(accounts=tuple(accounts[at : at + together]), turn=turn) for at in starts]


async def tell_backlog(pool: Pool) -> None:
    """Tell how far behind we are with what is to be indexed; `Unavailable` escapes."""
    behind = await indexing.backlog(pool)
    _waiting.set(behind.waiting)
    _lag.set(behind.lag)
    _coverage.set(max(1 - behind.waiting / max(behind.all_contents, behind.waiting, 1), 0))
