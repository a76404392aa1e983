"""What is said about mailboxes and, below mailbox 0, about the server (RFC 5464).

An entry belongs to a reader (``/private``) or, with reader 0, to all who may read it (``/shared``).
Its name is kept as first written; names differ by case in nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from posthouse.mail.errors import PermanentFailure
from posthouse.storage.mailboxes import NoSuchMailbox
from posthouse.storage.pool import Pool, Queries, Tx, transaction

SERVER = 0  # the mailbox of what is said about the server
EVERYBODY = 0  # the reader of shared entries
MAX_VALUE_OCTETS = 16 * 1024  # RFC 5464 §4.1 asks for at least 1024
MAX_ENTRIES = 100  # of one reader on one mailbox; RFC 5464 §4.1 asks for at least 10
MAX_OCTETS = (
    4 * 1024 * 1024
)  # of one reader's entries on all mailboxes of an account: no quota counts them
MAX_FOUND = 10_000  # of one question


class TooManyAnnotations(PermanentFailure):
    """There are as many entries of this reader as there may be (RFC 5464 §4.3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """One entry.

    Attributes:
        mailbox: The id of the mailbox, or `SERVER`.
        entry: Its name.
        size: Octets of its value.
        value: None if it is larger than was asked for.
    """

    mailbox: int
    entry: str
    size: int
    value: bytes | None


_READ = """
    select a.mailbox_id as mailbox, a.entry, length(a.value) as size,
           case when $5::bigint is null or length(a.value) <= $5 then a.value end as value
      from annotations a
     where a.account_id = $1 and a.mailbox_id = any ($2) and a.reader in (0, $3)
       and exists (select from unnest($4::text[]) asked (entry)
                    where lower(a.entry) = asked.entry or starts_with(lower(a.entry), asked.entry || '/'))
     order by a.mailbox_id, lower(a.entry) limit $6
"""


async def read_annotations(
    queries: Queries,
    account: int,
    mailboxes: Sequence[int],
    reader: int,
    entries: Sequence[str],
    max_size: int | None = None,
) -> list[Annotation]:
    """Return the entries of these names and those below them that ``reader`` may see."""
    names = [entry.lower() for entry in entries]
    rows = await queries.fetch(_READ, account, list(mailboxes), reader, names, max_size, MAX_FOUND)
    return [Annotation(**dict(row)) for row in rows]


# Row lock: two sessions do not go over the limit together.
_LOCK = "select 1 from accounts where account_id = $1 for update"
_REMOVE = """
    delete from annotations where account_id = $1 and mailbox_id = $2 and reader = $3
       and lower(entry) = any ($4)
"""
_COUNT = (
    "select count(*) from annotations where account_id = $1 and mailbox_id = $2 and reader = $3"
)
_WEIGH = """
    select coalesce(sum(length(value) + octet_length(entry)), 0) from annotations
     where account_id = $1 and reader = $2
"""
_ADD = """
    insert into annotations (account_id, mailbox_id, reader, entry, value)
    select $1, $2, $3, * from unnest($4::text[], $5::bytea[])
"""


# A step that changes no message; it locks the mailbox before the account, as copies do.
_TAKE_STEP = """
    with step as (
      update mailboxes set modseq = modseq + 1 where account_id = $1 and mailbox_id = $2
      returning account_id, mailbox_id, modseq
    )
    insert into changes (account_id, mailbox_id, modseq, kind, data)
    select account_id, mailbox_id, modseq, 'm', '' from step returning modseq
"""


async def write_annotations(
    queries: Pool | Tx,
    account: int,
    mailbox: int,
    entries: Mapping[int, Mapping[str, bytes | None]],
) -> int:
    """Set entries by reader, remove those that are None: all or nothing.

    It is a step of the mailbox (RFC 7162 §3.2), whose modification sequence is returned, 0 for the
    server. Raises `TooManyAnnotations`, or `NoSuchMailbox` if it is gone.
    """
    async with transaction(queries) as tx:
        step = 0 if mailbox == SERVER else await tx.fetchval(_TAKE_STEP, account, mailbox)
        if step is None:
            raise NoSuchMailbox("Mailbox was deleted")
        await tx.execute(_LOCK, account)
        for reader, values in entries.items():
            names = [name.lower() for name in values]
            await tx.execute(_REMOVE, account, mailbox, reader, names)
            new = {name: value for name, value in values.items() if value is not None}
            await tx.execute(_ADD, account, mailbox, reader, list(new), list(new.values()))
            if int(str(await tx.fetchval(_COUNT, account, mailbox, reader))) > MAX_ENTRIES:
                raise TooManyAnnotations("Too many annotations")
            if new and int(str(await tx.fetchval(_WEIGH, account, reader))) > MAX_OCTETS:
                raise TooManyAnnotations("Too large annotations")
    return int(str(step))


# As many rows as steps: a row that is forgotten may have been of messages.
_ONLY_ANNOTATED = """
    select s.account_id, s.mailbox_id
      from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
           s (account_id, mailbox_id, known, step)
     where s.step - s.known = (
       select count(*) from changes c
        where c.account_id = s.account_id and c.mailbox_id = s.mailbox_id and c.kind = 'm'
          and c.modseq > s.known and c.modseq <= s.step)
"""


async def only_annotated(
    queries: Queries, steps: Mapping[tuple[int, int], tuple[int, int]]
) -> set[tuple[int, int]]:
    """Return of which mailboxes (account, id) nothing but annotations changed between two steps."""
    rows = [(*key, *span) for key, span in steps.items()]
    found = await queries.fetch(_ONLY_ANNOTATED, *map(list, zip(*rows, strict=True)))
    return {(row["account_id"], row["mailbox_id"]) for row in found}


_COPY = """
    insert into annotations (account_id, mailbox_id, reader, entry, value)
    select account_id, $3, reader, entry, value from annotations
     where account_id = $1 and mailbox_id = $2
    on conflict do nothing
"""


async def copy_annotations(queries: Queries, account: int, source: int, target: int) -> None:
    """Say the same about another mailbox (RFC 5464 §4.1, of a renamed INBOX)."""
    await queries.execute(_COPY, account, source, target)
