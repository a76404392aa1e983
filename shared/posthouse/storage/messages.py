"""Writes to the messages of a mailbox: one round trip and one commit each.

The work is done by the functions of migration 0051, which lock the mailbox row first, so UIDs and
modification sequences rise in commit order. Every function returns what really changed: another
session may have expunged some of the messages meanwhile. UIDs are given in any order, each once.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from posthouse.mail.errors import PermanentFailure
from posthouse.mail.status import MAILBOX_FULL
from posthouse.storage.mailboxes import NoSuchMailbox, TooManyMailboxes
from posthouse.storage.pool import Pool, Queries, Row, transaction

SEEN, ANSWERED, FLAGGED, DELETED, DRAFT = 1, 2, 4, 8, 16
MAX_KEYWORDS = 200  # of one account
_SPREAD = 8  # places for each UID: single UIDs take as much room, and more time


class OverQuota(PermanentFailure):
    """The account's quota does not allow it (RFC 9208 §5.3 OVERQUOTA)."""

    default = MAILBOX_FULL


class Mode(Enum):
    """How STORE changes flags (RFC 3501 §6.4.6)."""

    ADD = "+"
    REMOVE = "-"
    REPLACE = "="


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagChange:
    """What is to become of some messages' flags.

    Attributes:
        mode: Add, remove, or replace all.
        flags: Bits of the system flags.
        keywords: Ids of keywords.
        unchanged_since: Messages changed after this modseq are left alone (RFC 7162 §3.1.3).
    """

    mode: Mode
    flags: int
    keywords: Sequence[int] = ()
    unchanged_since: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What a flag change did.

    Attributes:
        modseq: The mailbox's modification sequence afterwards.
        changed: Packed flags of the messages that differ now, in any order, see migration 0004; empty if none.
        modified: UIDs that were left alone because they changed meanwhile.
    """

    modseq: int
    changed: bytes
    modified: tuple[int, ...]


_Named: TypeAlias = tuple[int, int, bytes | None, Sequence[int] | None]


def _named(uids: Sequence[int]) -> _Named:
    """Return how migration 0051 takes ``uids``: lowest, highest, marks between them, single ones."""
    if not uids:
        return 1, 0, None, None
    lowest, highest = min(uids), max(uids)
    span = highest - lowest + 1
    if span == len(uids):
        return lowest, highest, None, None
    if span > _SPREAD * len(uids):
        return lowest, highest, None, uids
    marks = bytearray(span)
    for uid in uids:
        marks[uid - lowest] = 1
    return lowest, highest, bytes(marks), None


_STORE = "select * from store_flags($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"


async def store_flags(
    pool: Queries, account: int, mailbox: int, uids: Sequence[int], change: FlagChange
) -> Stored:
    """Change flags of ``uids``; raise `NoSuchMailbox` if the mailbox is gone."""
    how = (change.mode.value.encode(), change.flags, list(change.keywords), change.unchanged_since)
    return stored_of(await pool.fetchrow(_STORE, account, mailbox, *_named(uids), *how))


def stored_of(row: Row | None) -> Stored:
    """Return what a function of the database did to flags; raise as `store_flags` does."""
    if row is None or row["step"] is None:
        raise NoSuchMailbox("Mailbox was deleted")
    return Stored(
        modseq=row["step"],
        changed=row["changed"] or b"",
        modified=tuple(row["modified"] or ()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Expunged:
    """What an expunge did: the mailbox's modseq afterwards, the UIDs that went, ascending."""

    modseq: int
    uids: Sequence[int]


_EXPUNGE = "select * from expunge_messages($1, $2, $3, $4, $5, $6, $7)"


async def expunge(
    pool: Queries,
    account: int,
    mailbox: int,
    uids: Sequence[int],
    *,
    deleted_only: bool = True,
) -> Expunged:
    r"""Remove ``uids`` for good, of these the ``\Deleted`` ones or, if asked, all.

    Raises `NoSuchMailbox` if the mailbox is gone.
    """
    row = await pool.fetchrow(_EXPUNGE, account, mailbox, *_named(uids), not deleted_only)
    if row is None or row["step"] is None:
        raise NoSuchMailbox("Mailbox was deleted")
    return Expunged(modseq=row["step"], uids=unpack_uids(row["gone"] or b""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What COPY or MOVE did (RFC 4315 §3 COPYUID).

    Attributes:
        source_modseq: The source's modification sequence afterwards.
        target_modseq: The target's modification sequence afterwards.
        uidvalidity: The target's.
        source_uids: Those that were copied, ascending.
        first_uid: The first one's UID in the target; the others follow without a gap.
    """

    source_modseq: int
    target_modseq: int
    uidvalidity: int
    source_uids: Sequence[int]
    first_uid: int


_COPY = "select * from copy_messages($1, $2, $3, $4, $5, $6, $7, $8)"


async def copy(
    pool: Queries, account: int, ids: tuple[int, int], uids: Sequence[int], *, is_move: bool = False
) -> Copied:
    """Copy or move ``uids`` from the first mailbox of ``ids`` to the second, all or none.

    Raises `NoSuchMailbox` if one of them is gone, `OverQuota` if a copy does not fit.
    """
    source, target = ids
    return copied_of(await pool.fetchrow(_COPY, account, source, target, *_named(uids), is_move))


def copied_of(row: Row | None) -> Copied:
    """Return what a copying function of the database did; raise as `copy` does."""
    if row is None or row["source_step"] is None or row["refusal"] == "gone":
        raise NoSuchMailbox("Mailbox was deleted")
    if row["refusal"] == "quota":
        raise OverQuota("Quota exceeded")
    return Copied(
        source_modseq=row["source_step"],
        target_modseq=row["target_step"],
        uidvalidity=row["validity"],
        source_uids=unpack_uids(row["came_from"] or b""),
        first_uid=row["first_uid"],
    )


_KEYWORDS = "select name, keyword_id from keywords where account_id = $1"
# The account row is locked, so that two sessions do not give the same number twice.
_LOCK_ACCOUNT = "select 1 from accounts where account_id = $1 for update"
_ADD_KEYWORDS = """
    insert into keywords (account_id, keyword_id, name)
    select $1, coalesce((select max(keyword_id) from keywords where account_id = $1), 0) + n, name
      from unnest($2::text[]) with ordinality as new (name, n)
    on conflict do nothing
"""


async def keyword_names(pool: Queries, account: int) -> dict[str, int]:
    """Return the ids of all keywords the account has used, by name."""
    return dict(await pool.fetch(_KEYWORDS, account))


async def add_keywords(
    pool: Pool, account: int, names: Sequence[str], most: int = MAX_KEYWORDS
) -> dict[str, int]:
    """Give ids to new keywords and return all of the account; raise `TooManyMailboxes` beyond ``most``.

    Names differ by case in nothing (RFC 3501 §2.3.2): what is there in another case is not new.
    """
    async with transaction(pool) as tx:
        await tx.execute(_LOCK_ACCOUNT, account)
        known = dict(await tx.fetch(_KEYWORDS, account))
        there = {name.lower() for name in known}
        new = {name.lower(): name for name in reversed(names) if name.lower() not in there}
        if len(known) + len(new) > most:
            raise TooManyMailboxes("Too many keywords")
        await tx.execute(_ADD_KEYWORDS, account, list(reversed(new.values())))
        return dict(await tx.fetch(_KEYWORDS, account))


def unpack_uids(packed: bytes) -> Sequence[int]:
    """Return the UIDs of an ``e`` row of changes, ascending; neighbours as a range."""
    many = len(packed) // 8
    if many:
        first, last = int.from_bytes(packed[:8], "big"), int.from_bytes(packed[-8:], "big")
        if last - first == many - 1:
            return range(first, last + 1)
    return struct.unpack(f">{many}q", packed)
