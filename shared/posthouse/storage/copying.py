"""COPY and MOVE on terms: between accounts, with only some of the flags (RFC 4314 §4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from posthouse.storage.messages import Copied, copied_of, copy
from posthouse.storage.pool import Queries

Box: TypeAlias = tuple[int, int]  # account and mailbox
ALL_FLAGS = 31


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How messages are copied.

    Attributes:
        is_move: They go from where they were.
        flags: Bits of the system flags that go along.
        keywords: Keywords go along.
    """

    is_move: bool = False
    flags: int = ALL_FLAGS
    keywords: bool = True


_COPY = "select * from copy_messages_to($1, $2, $3, $4, $5, $6, $7, $8)"


async def copy_to(
    queries: Queries, source: Box, target: Box, uids: Sequence[int], terms: Terms
) -> Copied:
    """Copy or move ``uids``, all or none.

    Raises `NoSuchMailbox` if a mailbox is gone, `OverQuota` if the target's owner has no room.
    """
    if source[0] == target[0] and terms.flags == ALL_FLAGS and terms.keywords:
        ids = (source[1], target[1])
        return await copy(queries, source[0], ids, uids, is_move=terms.is_move)
    return copied_of(
        await queries.fetchrow(
            _COPY, *source, *target, uids, terms.is_move, terms.flags, terms.keywords
        )
    )
