"""COPY and MOVE on terms: between accounts, with only some of the flags (RFC 4314 §4)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from posthouse.storage.messages import Copied, FlagChange, Mode, copied_of, copy, store_flags
from posthouse.storage.pool import Pool, Queries, Tx, transaction
from posthouse.storage.seen import store_seen

Box: TypeAlias = tuple[int, int]  # account and mailbox
ALL_FLAGS = 31
_SEEN = 1  # the bit


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How messages are copied.

    Attributes:
        is_move: They go from where they were.
        flags: Bits of the system flags that go along.
        keywords: Keywords go along.
        read: UIDs of those whose copies are marked as read.
        reader: The guest for whom alone; None: by the flag, which is the owner's.
    """

    is_move: bool = False
    flags: int = ALL_FLAGS
    keywords: bool = True
    read: Collection[int] = ()
    reader: int | None = None


_COPY = "select * from copy_messages_to($1, $2, $3, $4, $5, $6, $7, $8)"


async def copy_to(
    queries: Pool | Tx, source: Box, target: Box, uids: Sequence[int], terms: Terms
) -> Copied:
    """Copy or move ``uids``, all or none, and mark the copies with them.

    Raises `NoSuchMailbox` if a mailbox is gone, `OverQuota` if the target's owner has no room.
    """
    if not terms.read:
        return await _copied(queries, source, target, uids, terms)
    async with transaction(queries) as tx:
        done = await _copied(tx, source, target, uids, terms)
        return replace(done, target_modseq=await _mark(tx, target, done, terms))


async def _copied(
    queries: Queries, source: Box, target: Box, uids: Sequence[int], terms: Terms
) -> Copied:
    if source[0] == target[0] and terms.flags == ALL_FLAGS and terms.keywords:
        ids = (source[1], target[1])
        return await copy(queries, source[0], ids, uids, is_move=terms.is_move)
    return copied_of(
        await queries.fetchrow(
            _COPY, *source, *target, uids, terms.is_move, terms.flags, terms.keywords
        )
    )


async def _mark(tx: Tx, target: Box, done: Copied, terms: Terms) -> int:
    """Mark as read what was; return the target's modification sequence afterwards."""
    read = set(terms.read)
    new = [done.first_uid + n for n, uid in enumerate(done.source_uids) if uid in read]
    if not new:
        return done.target_modseq
    if terms.reader is None:
        change = FlagChange(mode=Mode.ADD, flags=_SEEN)
        return (await store_flags(tx, *target, new, change)).modseq
    return (await store_seen(tx, target, terms.reader, new, on=True)).modseq
