"""Mailboxes: which there are, made, renamed, removed, subscribed to (RFC 3501 §6.3).

Names are UTF-8 with ``/`` between levels; ``INBOX`` is always written so. Levels above a mailbox
need not exist themselves.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from posthouse.mail.errors import PermanentFailure
from posthouse.storage.pool import Pool, Queries, Row, Tx, transaction

INBOX = "INBOX"
SEPARATOR = "/"
MAX_NAME_OCTETS = 1024
MAX_MAILBOXES = 10_000  # of one account
ROWS_AT_ONCE = 1000  # some milliseconds
LAST_STEP = 2**63 - 1  # the modseq that a notice of a deleted mailbox carries: later than any


class NoSuchMailbox(PermanentFailure):
    """There is no mailbox of this name (any more)."""


class MailboxExists(PermanentFailure):
    """A mailbox of this name exists already."""


class TooManyMailboxes(PermanentFailure):
    """The account may not have more mailboxes or keywords."""


class NoRoomForMailbox(PermanentFailure):
    """A quota does not allow another mailbox (RFC 9208 §5.3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    r"""One mailbox as it stood when it was read.

    Attributes:
        account: Whose.
        id: Stays the same through renames.
        name: UTF-8, levels divided by ``/``.
        uidvalidity: RFC 3501 §2.3.1.1; unique over all mailboxes that ever were.
        uidnext: The next UID to be given.
        recent_uid: From this UID on, no session was told of a message: ``\Recent``.
        modseq: Of the last change (RFC 7162 §3.1.2.1 HIGHESTMODSEQ).
        exists: Number of messages.
        octets: Their sizes together.
        special_use: ``\Sent`` and so on (RFC 6154 §2), with spaces between, or None.
        subscribed: Shown by LSUB.
        acl: Identifiers and their rights (`posthouse.mail.rights`), None where there is none.
    """

    account: int
    id: int
    name: str
    uidvalidity: int
    uidnext: int
    recent_uid: int
    modseq: int
    exists: int
    octets: int
    special_use: str | None
    subscribed: bool
    acl: Mapping[str, str] | None = None

    @property
    def uses(self) -> tuple[str, ...]:
        """Its special uses."""
        return tuple((self.special_use or "").split())

    @property
    def object_id(self) -> str:
        """MAILBOXID: stays the same through renames, is never given again (RFC 8474 §4)."""
        return f"F{self.id:x}"  # no EMAILID begins so


COLUMNS = """account_id as account, mailbox_id as id, name, uidvalidity, uidnext, recent_uid, modseq,
    exists_ as exists, octets, special_use, subscribed, acl"""


def mailbox_of(row: Row) -> Mailbox:
    """Return the mailbox in a row of `COLUMNS`."""
    acl = row["acl"]
    return Mailbox(
        account=row["account"],
        id=row["id"],
        name=row["name"],
        uidvalidity=row["uidvalidity"],
        uidnext=row["uidnext"],
        recent_uid=row["recent_uid"],
        modseq=row["modseq"],
        exists=row["exists"],
        octets=row["octets"],
        special_use=row["special_use"],
        subscribed=row["subscribed"],
        acl=None if acl is None else acl_of(acl),
    )


def acl_of(text: str | None) -> dict[str, str] | None:
    """Return an ACL as a row has it."""
    return None if text is None else dict(json.loads(text))


def acl_text(acl: Mapping[str, str] | None) -> str | None:
    """Return an ACL as a row takes it: none for an empty one."""
    return json.dumps(dict(acl)) if acl else None


_FIND = f"select {COLUMNS} from mailboxes where account_id = $1 and name = $2"  # noqa: S608  constants only


async def find_mailbox(pool: Queries, account: int, name: str) -> Mailbox:
    """Return the mailbox called ``name``; raise `NoSuchMailbox`."""
    row = await pool.fetchrow(_FIND, account, name)
    if row is None:
        raise NoSuchMailbox("No such mailbox")
    return mailbox_of(row)


_BY_ID = f"select {COLUMNS} from mailboxes where account_id = $1 and mailbox_id = $2"  # noqa: S608  constants only


async def mailbox_by_id(pool: Queries, account: int, mailbox: int) -> Mailbox:
    """Return the mailbox with this id; raise `NoSuchMailbox`."""
    row = await pool.fetchrow(_BY_ID, account, mailbox)
    if row is None:
        raise NoSuchMailbox("Mailbox was deleted")
    return mailbox_of(row)


_LIST = f"select {COLUMNS} from mailboxes where account_id = $1 order by name"  # noqa: S608  constants only


async def list_mailboxes(pool: Queries, account: int) -> list[Mailbox]:
    """Return all mailboxes of ``account`` by name; at most `MAX_MAILBOXES`."""
    rows = await pool.fetch(_LIST, account)
    found: list[Mailbox] = []
    for start in range(0, len(rows), ROWS_AT_ONCE):
        found += map(mailbox_of, rows[start : start + ROWS_AT_ONCE])
        await asyncio.sleep(0)  # others get their turn
    return found


# A name that was subscribed to before it (again) had a mailbox keeps its subscription. A special use
# belongs to one mailbox (RFC 6154 §3): the older one loses it.
_CREATE = f"""
    with kept as (delete from subscriptions where account_id = $1 and name = $2 returning name)
    insert into mailboxes (account_id, name, special_use, subscribed, acl)
    select $1, $2, $3, exists (select from kept), $5
     where (select count(*) from mailboxes where account_id = $1)
           < least($4, (select mailboxes + (select count(*) from mailboxes where account_id = $1)
                          from quota_room($1)))
    on conflict (account_id, name) do nothing
    returning {COLUMNS}
"""  # noqa: S608  constants only
_COUNT = "select count(*) from mailboxes where account_id = $1"


async def create_mailbox(
    pool: Pool | Tx,
    account: int,
    name: str,
    uses: Sequence[str] = (),
    *,
    acl: Mapping[str, str] | None = None,
) -> Mailbox:
    """Make an empty mailbox; raise `MailboxExists`, `TooManyMailboxes` or `NoRoomForMailbox`."""
    async with transaction(pool) as tx:
        special = " ".join(uses) or None
        row = await tx.fetchrow(_CREATE, account, name, special, MAX_MAILBOXES, acl_text(acl))
        if row is not None:
            await _take_uses(tx, account, int(row["id"]), uses)
            return mailbox_of(row)
        if await tx.fetchrow(_FIND, account, name) is not None:
            raise MailboxExists("Mailbox exists")
        if int(str(await tx.fetchval(_COUNT, account))) < MAX_MAILBOXES:
            raise NoRoomForMailbox("Quota exceeded")
    raise TooManyMailboxes("Too many mailboxes")


_TAKE_USES = """
    update mailboxes set special_use = nullif(array_to_string(array(
             select u from unnest(string_to_array(special_use, ' ')) u where u <> all ($3)), ' '), '')
     where account_id = $1 and mailbox_id <> $2 and string_to_array(special_use, ' ') && $3
"""
_SET_USES = "update mailboxes set special_use = $3 where account_id = $1 and mailbox_id = $2"


async def _take_uses(tx: Tx, account: int, mailbox: int, uses: Sequence[str]) -> None:
    """See to it that no other mailbox has these special uses."""
    if uses:
        await tx.execute(_TAKE_USES, account, mailbox, list(uses))


async def set_special_uses(
    pool: Pool | Tx, account: int, mailbox: int, uses: Sequence[str]
) -> None:
    """Give a mailbox these special uses and no others (RFC 6154 §4)."""
    async with transaction(pool) as tx:
        await tx.execute(_SET_USES, account, mailbox, " ".join(uses) or None)
        await _take_uses(tx, account, mailbox, uses)


# The levels below follow (RFC 3501 §6.3.5). Both names are locked by the update itself; a name
# that is taken meanwhile breaks the unique key.
_IS_TAKEN = """
    select 1 from mailboxes t, mailboxes s
     where s.account_id = $1 and (s.name = $2 or starts_with(s.name, $2 || '/'))
       and t.account_id = $1 and t.name = $3 || substr(s.name, length($2) + 1) limit 1
"""
_RENAME = """
    update mailboxes set name = $3 || substr(name, length($2) + 1)
     where account_id = $1 and (name = $2 or starts_with(name, $2 || '/'))
"""


async def rename_mailbox(pool: Pool | Tx, account: int, name: str, new: str) -> int:
    """Rename ``name`` and everything below it; return how many mailboxes that were.

    A level that is no mailbox itself can be renamed too. Raises `NoSuchMailbox` or
    `MailboxExists`; INBOX is never renamed by this (RFC 3501 §6.3.5 moves its messages).
    """
    async with transaction(pool) as tx:
        if await tx.fetchrow(_IS_TAKEN, account, name, new) is not None:
            raise MailboxExists("Mailbox exists")
        done = await tx.execute(_RENAME, account, name, new)
    if not done:
        raise NoSuchMailbox("No such mailbox")
    return done


# Children stay. The row goes first: whoever files into it meanwhile waits, then finds it gone.
_DELETE = """
    with gone as (
      delete from mailboxes where account_id = $1 and name = $2 returning mailbox_id, name, subscribed
    ), kept as (
      insert into subscriptions select $1, name from gone where subscribed on conflict do nothing
    )
    select mailbox_id from gone
"""
_DELETE_MESSAGES = "delete from messages where account_id = $1 and mailbox_id = $2"
_DELETE_CHANGES = "delete from changes where account_id = $1 and mailbox_id = $2"


async def delete_mailbox(pool: Pool | Tx, account: int, name: str) -> int:
    """Remove ``name`` with its messages and return its id; its subscription stays.

    Raises `NoSuchMailbox`.
    """
    async with transaction(pool) as tx:
        row = await tx.fetchrow(_DELETE, account, name)
        if row is None:
            raise NoSuchMailbox("No such mailbox")
        mailbox = int(row["mailbox_id"])
        await tx.execute(_DELETE_MESSAGES, account, mailbox)
        await tx.execute(_DELETE_CHANGES, account, mailbox)
    return mailbox


# One session only is told that a message is recent (RFC 3501 §2.3.2): the row lock decides which.
_CLAIM = """
    with old as (
      select mailbox_id, recent_uid from mailboxes
       where account_id = $1 and mailbox_id = $2 and recent_uid < $3 for update
    )
    update mailboxes m set recent_uid = $3 from old
     where m.account_id = $1 and m.mailbox_id = old.mailbox_id returning old.recent_uid
"""


async def claim_recent(pool: Queries, account: int, mailbox: int, uidnext: int) -> int:
    """Take the recent messages below ``uidnext`` for this session; return the first UID of them.

    ``uidnext`` itself means that another session had them.
    """
    row = await pool.fetchrow(_CLAIM, account, mailbox, uidnext)
    return uidnext if row is None else int(row["recent_uid"])


_STEPS = """
    select m.account_id, m.mailbox_id, m.modseq from mailboxes m
      join unnest($1::bigint[], $2::bigint[]) as asked (a, m) on m.account_id = a and m.mailbox_id = asked.m
"""


async def current_steps(
    pool: Queries, mailboxes: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], int]:
    """Return the modseq of each (account, mailbox) that still exists: the slow timer's one query."""
    accounts, ids = [a for a, _ in mailboxes], [m for _, m in mailboxes]
    rows = await pool.fetch(_STEPS, accounts, ids)
    return {(row["account_id"], row["mailbox_id"]): row["modseq"] for row in rows}
