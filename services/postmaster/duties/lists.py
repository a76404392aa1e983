"""The keeper of lists: removes what is over, of allow and deny lists, the greylist, and of trials of rules."""

from __future__ import annotations

from datetime import UTC, datetime

from posthouse.storage import shadows
from posthouse.storage.access import tidy_entries
from posthouse.storage.greylisting import tidy_greylist
from posthouse.storage.pool import Pool
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

_removed = counter(
    "posthouse_postmaster_lists_tidied_total", "Rows of lists that were over, removed.", "what"
)
log = get_logger()


async def tidy_lists(pool: Pool) -> None:
    """Remove what is over, in small bites; raise `Unavailable`, then the next round goes on."""
    entries, greylist = await tidy_entries(pool), await tidy_greylist(pool)
    await shadows.forget(pool, datetime.now(UTC).date())
    _removed.labels("access").inc(entries)
    _removed.labels("greylist").inc(greylist)
    if entries or greylist:
        log.info("lists tidied", entries=entries, greylist=greylist)
