"""Reading a mailbox: whole as one packed value, or what changed since a step (RFC 7162 §3.2.6).

A reader loads a mailbox once, and then asks only for the changes after the modseq it knows. All
values of one answer come from one statement, so from one moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from posthouse.storage.mailboxes import COLUMNS, Mailbox, NoSuchMailbox, mailbox_of
from posthouse.storage.messages import unpack_uids
from posthouse.storage.pool import Queries
from posthouse.storage.searching import DateColumn

CHUNK_MESSAGES = 50_000  # about 1.4 MB and 8 ms
END_UID = 2**32  # above all: UIDs have 32 bits (RFC 3501 §2.3.1.1)
INLINE_OCTETS = 100_000  # of UIDs, 8 each; more are unpacked in a thread

# Per message 28 octets, see `posthouse.storage.messages`: (uid << 32 | flags) int8, modseq int8,
# content int8, size int4. Keywords are few: they follow as text.
_PACKED = """
    select string_agg(int8send(uid << 32 | flags) || int8send(modseq) || int8send(content_id)
                      || int4send(size), '') as messages,
           string_agg(uid || ':' || array_to_string(keywords, ','), ';')
             filter (where keywords is not null) as keywords
      from (select uid, flags, modseq, content_id, size, keywords from messages
             where account_id = $1 and mailbox_id = $2 and uid >= $3 and uid < $5
             order by uid limit $4) page
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Messages of a mailbox in order of their UIDs.

    Attributes:
        mailbox: As it stood at the same moment.
        messages: Packed, 28 octets each.
        keywords: ``uid:id,id;...`` of those that have keywords.
    """

    mailbox: Mailbox
    messages: bytes
    keywords: str


_FIND_TO_OPEN = f"""
    select {COLUMNS}, words, numbers
      from mailboxes, (select array_agg(name) as words, array_agg(keyword_id) as numbers
                         from keywords where account_id = $1) k
     where account_id = $1 and mailboxes.name = $2
"""  # noqa: S608  constants only


async def find_to_open(pool: Queries, account: int, name: str) -> tuple[Mailbox, dict[str, int]]:
    """Return the mailbox called ``name``, and the ids of all keywords that ``account`` has used, by name.

    Raises `NoSuchMailbox`.
    """
    row = await pool.fetchrow(_FIND_TO_OPEN, account, name)
    if row is None:
        raise NoSuchMailbox("No such mailbox")
    keywords = zip(row["words"] or (), row["numbers"] or (), strict=True)
    return mailbox_of(row), dict(keywords)


_LOAD = f"""
    select {COLUMNS}, p.messages, p.keywords from mailboxes, ({_PACKED}) p
     where account_id = $1 and mailbox_id = $2
"""  # noqa: S608  constants only


async def load_page(
    queries: Queries, account: int, mailbox: int, first_uid: int = 1, end_uid: int = END_UID
) -> Page:
    """Return at most `CHUNK_MESSAGES` messages from ``first_uid`` to before ``end_uid``.

    Raises `NoSuchMailbox`.
    """
    row = await queries.fetchrow(_LOAD, account, mailbox, first_uid, CHUNK_MESSAGES, end_uid)
    if row is None:
        raise NoSuchMailbox("Mailbox was deleted")
    return Page(
        mailbox=mailbox_of(row), messages=row["messages"] or b"", keywords=row["keywords"] or ""
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One step of a mailbox: its modseq, its kind and data as migration 0003 tells."""

    modseq: int
    kind: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """What happened since a step.

    Attributes:
        page: The mailbox now, and the messages from the asked UID on.
        changes: Every step after the asked one, ascending; not complete if history was pruned,
            which shows as a gap.
    """

    page: Page
    changes: tuple[Change, ...]

    def is_complete(self, since: int) -> bool:
        """True if no step after ``since`` is missing."""
        return len(self.changes) == self.page.mailbox.modseq - since


_CHANGES = """
    select array_agg(modseq order by modseq) as steps, string_agg(kind::text, '' order by modseq) as kinds,
           array_agg(data order by modseq) as data
      from changes where account_id = $1 and mailbox_id = $2 and modseq > $6
"""
_SINCE = f"""
    select {COLUMNS}, p.messages, p.keywords, c.steps, c.kinds, c.data
      from mailboxes, ({_PACKED}) p, ({_CHANGES}) c
     where account_id = $1 and mailbox_id = $2
"""  # noqa: S608  constants only


async def changes_since(
    queries: Queries, account: int, mailbox: int, modseq: int, uidnext: int
) -> Delta:
    """Return the steps after ``modseq`` and the messages from ``uidnext`` on.

    Raises `NoSuchMailbox` if the mailbox is gone.
    """
    row = await queries.fetchrow(_SINCE, account, mailbox, uidnext, CHUNK_MESSAGES, END_UID, modseq)
    if row is None:
        raise NoSuchMailbox("Mailbox was deleted")
    steps = zip(row["steps"] or (), row["kinds"] or "", row["data"] or (), strict=True)
    return Delta(
        page=Page(
            mailbox=mailbox_of(row), messages=row["messages"] or b"", keywords=row["keywords"] or ""
        ),
        changes=tuple(Change(modseq=step, kind=kind, data=data) for step, kind, data in steps),
    )


_EXPUNGED = """
    select count(*) as steps, array_agg(data) filter (where kind = 'e') as gone
      from changes where account_id = $1 and mailbox_id = $2 and modseq > $3 and modseq <= $4
"""


async def expunged_between(
    queries: Queries, account: int, mailbox: int, after: int, until: int
) -> list[int] | None:
    """Return the UIDs expunged by the steps after ``after`` up to ``until``, ascending.

    None if the history does not go back so far.
    """
    row = await queries.fetchrow(_EXPUNGED, account, mailbox, after, until)
    if row is None or row["steps"] != until - after:
        return None
    steps = row["gone"] or ()
    if sum(map(len, steps)) <= INLINE_OCTETS:
        return _all_uids(steps)
    return await asyncio.to_thread(_all_uids, steps)


def _all_uids(steps: Sequence[bytes]) -> list[int]:
    return sorted(uid for packed in steps for uid in unpack_uids(packed))


_STEP = "select modseq from mailboxes where account_id = $1 and mailbox_id = $2"


async def current_step(queries: Queries, account: int, mailbox: int) -> int:
    """Return the mailbox's modseq; raise `NoSuchMailbox`."""
    row = await queries.fetchrow(_STEP, account, mailbox)
    if row is None:
        raise NoSuchMailbox("Mailbox was deleted")
    return int(row["modseq"])


_OF_UIDS = "from messages where account_id = $1 and mailbox_id = $2 and uid = any ($3)"
_DATES = {
    "internaldate": f"select uid, internaldate as moment {_OF_UIDS}",
    "savedate": f"select uid, savedate as moment {_OF_UIDS}",
}


async def dates(
    queries: Queries, where: tuple[int, int], column: DateColumn, uids: Sequence[int]
) -> dict[int, float]:
    """Return dates of ``uids`` as Unix seconds; those expunged are missing.

    Args:
        queries: Where to ask.
        where: Account and mailbox.
        column: When the message came into the world (RFC 3501 §2.3.3), or into this mailbox
            (RFC 8514 §3).
        uids: Which messages.
    """
    rows = await queries.fetch(_DATES[column], *where, uids)
    return {row["uid"]: row["moment"].timestamp() for row in rows}


_PRUNE = """
    delete from changes c using mailboxes m
     where m.account_id = $1 and m.mailbox_id = $2 and c.account_id = $1 and c.mailbox_id = $2
       and c.modseq <= m.modseq - $3
"""


async def prune_changes(queries: Queries, account: int, mailbox: int, keep: int) -> int:
    """Forget all but the last ``keep`` steps of a mailbox; return how many went."""
    return await queries.execute(_PRUNE, account, mailbox, keep)
