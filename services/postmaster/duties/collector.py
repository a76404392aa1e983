"""The collector: removes what nobody refers to any more, after a quarantine.

History first, then contents, then objects: what goes at the end of the chain has lost everything
that led to it. An object stays while a mailbox shows it or a recipient is open, dead letters
included; otherwise it goes when both its id and its file are older than the quarantine.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from uuid import UUID

from posthouse.blobs import Blobs
from posthouse.blobs.port import StoredObject
from posthouse.mail.ids import JUDGING, UNJUDGED, moment_of, object_key, unjudged_key
from posthouse.storage import collecting
from posthouse.storage.pool import Pool
from posthouse.telemetry import metrics
from posthouse.telemetry.logs import get_logger

MAIL = "mail"  # the folder of messages; of the rest only what is to be judged is ours to remove
JUDGED_WITHIN = timedelta(hours=1)
BITE = 500  # objects asked about and removed together

_collected = metrics.counter(
    "posthouse_postmaster_collected_total", "Rows and objects nobody referred to, removed.", "what"
)
_freed = metrics.counter(
    "posthouse_postmaster_collected_octets_total", "Octets of the objects that were removed."
)

log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How far a walk over the store has come.

    Attributes:
        seen: Objects looked at.
        gone: Objects removed, or that would be.
        octets: What they held.
    """

    seen: int = 0
    gone: int = 0
    octets: int = 0


async def tidy_rows(
    pool: Pool, *, quarantine: timedelta, keep_changes: int, keep_letters: timedelta
) -> None:
    """Forget old history and ended letters, and remove contents without a message.

    Raises:
        Unavailable: If PostgreSQL does not answer; what was removed by then is removed.
    """
    history = await collecting.prune_history(pool, keep_changes)
    contents = await collecting.collect_contents(pool, quarantine)
    letters = await collecting.forget_ended_letters(pool, keep_letters)
    for what, count in (("history", history), ("contents", contents), ("letters", letters)):
        _collected.labels(what).inc(count)
    if history or contents or letters:
        log.info("rows collected", history=history, contents=contents, letters=letters)


async def tidy_objects(pool: Pool, blobs: Blobs, quarantine: timedelta) -> None:
    """Remove the objects nobody needs.

    Raises:
        Unavailable: If PostgreSQL or the store does not answer; the next walk goes on.
    """
    tally = Tally()
    async for step in walk(pool, blobs, quarantine, dry_run=False):
        tally = step
    log.info("objects collected", seen=tally.seen, gone=tally.gone, octets=tally.octets)
    await tidy_unjudged(pool, blobs, quarantine)
    await tidy_judged(blobs)


async def tidy_unjudged(pool: Pool, blobs: Blobs, quarantine: timedelta) -> None:
    """Remove what was accepted as it came and is judged by now, or has ended.

    Raises:
        Unavailable: If PostgreSQL or the store does not answer.
    """
    edge = datetime.now(UTC) - quarantine
    async for bite in _bites(blobs, UNJUDGED):
        old = _old_messages(bite, edge, unjudged_key)
        needed = await collecting.unjudged_objects(pool, list(old))
        await _remove(blobs, [each for ident, each in old.items() if ident not in needed])


async def tidy_judged(blobs: Blobs) -> None:
    """Remove what lies there to be judged and is not judged any more: its ingress has died.

    Raises:
        Unavailable: If the store does not answer.
    """
    edge = datetime.now(UTC) - JUDGED_WITHIN
    async for bite in _bites(blobs, JUDGING):
        await _remove(blobs, [each for each in bite if each.stored_at < edge])


async def walk(
    pool: Pool, blobs: Blobs, quarantine: timedelta, *, dry_run: bool
) -> AsyncIterator[Tally]:
    """Go through the store, removing what nobody needs (nothing with ``dry_run``); tell how far.

    Raises:
        Unavailable: If PostgreSQL or the store does not answer.
    """
    tally, edge = Tally(), datetime.now(UTC) - quarantine
    async for bite in _bites(blobs):
        old = _old_messages(bite, edge, object_key)
        needed = await collecting.needed_objects(pool, list(old))
        dead = [each for ident, each in old.items() if ident not in needed]
        if not dry_run:
            await _remove(blobs, dead)
        tally = replace(
            tally,
            seen=tally.seen + len(bite),
            gone=tally.gone + len(dead),
            octets=tally.octets + sum(each.size for each in dead),
        )
        yield tally


async def _bites(blobs: Blobs, folder: str = MAIL) -> AsyncIterator[list[StoredObject]]:
    bite: list[StoredObject] = []
    async for each in blobs.list(folder):
        bite.append(each)
        if len(bite) == BITE:
            yield bite
            bite = []
    yield bite  # the rest, perhaps nothing: every walk tells at least once how far it came


def _old_messages(
    bite: Sequence[StoredObject], edge: datetime, key_of: Callable[[UUID], str]
) -> dict[UUID, StoredObject]:
    """Return the objects that are past the quarantine, by their ids; ours are called `key_of`."""
    found = {}
    for each in bite:
        try:
            ident = UUID(PurePosixPath(each.key).stem)
            ours = each.key == key_of(ident)
        except (ValueError, OverflowError):
            continue
        if ours and max(moment_of(ident), each.stored_at) < edge:
            found[ident] = each
    return found


async def _remove(blobs: Blobs, dead: Sequence[StoredObject]) -> None:
    if not dead:
        return
    await blobs.delete([each.key for each in dead])
    _collected.labels("objects").inc(len(dead))
    _freed.inc(sum(each.size for each in dead))
