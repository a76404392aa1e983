"""Messages that came from another server: what changed there since the last look is changed here.

So what people do at the old server until it ends is not lost, nor what they do here: each import notes
what it brought (`imports`), and the difference to that is what is carried over: flags, and on demand
deletions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from posthouse.storage.importing import Where
from posthouse.storage.mailboxes import NoSuchMailbox
from posthouse.storage.messages import FlagChange, Mode, expunge, store_flags
from posthouse.storage.pool import Pool, Row, Tx, transaction

EXPUNGED_AT_ONCE = 1000  # messages in one transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class OldFlags:
    """The flags that a message has at the other server now.

    Attributes:
        uid: Its UID there.
        flags: Bits of the system flags.
        keywords: Ids of keywords.
    """

    uid: int
    flags: int
    keywords: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What was done: for how many messages; the mailbox, and its modseq afterwards."""

    count: int
    mailbox: int
    modseq: int


# Row locks, of the mailbox first as everybody: of two imports one waits and finds what the other noted.
_LOCK = """
    select mailbox_id, modseq from mailboxes
     where account_id = $1 and name = $2 and uidvalidity = $3 for update
"""
_KNOWN = """
    select old_uid, uid, flags, keywords from imports
     where account_id = $1 and mailbox_id = $2 and old_uid = any ($3::bigint[]) order by uid
"""
_NOTE = """
    update imports i set flags = new.flags, keywords = new.words::int[]
      from unnest($3::bigint[], $4::int[], $5::text[]) as new (old_uid, flags, words)
     where i.account_id = $1 and i.mailbox_id = $2 and i.old_uid = new.old_uid
"""


async def merge_flags(pool: Pool, where: Where, old: Sequence[OldFlags]) -> Merged:
    """Do here what was done there to flags since the last look; raise `NoSuchMailbox`.

    A flag that was changed here only stays as it is.
    """
    account = where[0]
    async with transaction(pool) as tx:
        mailbox, modseq = await _locked(tx, where)
        now = {one.uid: one for one in old}
        rows = await tx.fetch(_KNOWN, account, mailbox, list(now))
        changed = [(row, now[row["old_uid"]]) for row in rows if _differs(row, now[row["old_uid"]])]
        for change, uids in _changes(changed).items():
            modseq = (await store_flags(tx, account, mailbox, uids, change)).modseq
        noted = [one for _, one in changed]
        words = ["{" + ",".join(map(str, sorted(one.keywords))) + "}" for one in noted]
        bits = [one.flags for one in noted]
        await tx.execute(_NOTE, account, mailbox, [one.uid for one in noted], bits, words)
    return Merged(count=len(changed), mailbox=mailbox, modseq=modseq)


_GONE = """
    select i.old_uid, i.uid from imports i
     where i.account_id = $1 and i.mailbox_id = $2 and i.old_uid between $3 and $4
       and not exists (select from unnest($5::bigint[]) as left_there (uid) where left_there.uid = i.old_uid)
     order by i.old_uid limit $6
"""
_FORGET = """
    delete from imports where account_id = $1 and mailbox_id = $2 and old_uid = any ($3::bigint[])
"""


async def expunge_gone(
    pool: Pool, where: Where, span: tuple[int, int], left: Sequence[int]
) -> Merged:
    """Expunge here what was expunged there: imported ones of a ``span`` of UIDs, but for those ``left``.

    Some at a time, each all or nothing. Raises `NoSuchMailbox`.
    """
    account, count = where[0], 0
    while True:
        async with transaction(pool) as tx:
            mailbox, modseq = await _locked(tx, where)
            rows = await tx.fetch(_GONE, account, mailbox, *span, left, EXPUNGED_AT_ONCE)
            if rows:
                uids = sorted(row["uid"] for row in rows)
                done = await expunge(tx, account, mailbox, uids, deleted_only=False)
                await tx.execute(_FORGET, account, mailbox, [row["old_uid"] for row in rows])
                count, modseq = count + len(done.uids), done.modseq
        if len(rows) < EXPUNGED_AT_ONCE:
            return Merged(count=count, mailbox=mailbox, modseq=modseq)


async def _locked(tx: Tx, where: Where) -> tuple[int, int]:
    """Return the id and the modseq of a mailbox that nobody else changes until the transaction ends."""
    box = await tx.fetchrow(_LOCK, *where)
    if box is None:
        raise NoSuchMailbox("No such mailbox")
    return box["mailbox_id"], box["modseq"]


def _differs(row: Row, now: OldFlags) -> bool:
    return bool(row["flags"] != now.flags or set(row["keywords"]) != now.keywords)


def _changes(changed: Sequence[tuple[Row, OldFlags]]) -> dict[FlagChange, list[int]]:
    """Return what is to be added and removed, each with the UIDs here, ascending."""
    found: defaultdict[FlagChange, list[int]] = defaultdict(list)
    for row, now in changed:
        before, words = row["flags"], frozenset(row["keywords"])
        for mode, bits, numbers in (
            (Mode.ADD, now.flags & ~before, now.keywords - words),
            (Mode.REMOVE, before & ~now.flags, words - now.keywords),
        ):
            if bits or numbers:
                change = FlagChange(mode=mode, flags=bits, keywords=tuple(sorted(numbers)))
                found[change].append(row["uid"])
    return found
