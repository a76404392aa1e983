"""Mailboxes that come from another server: UIDVALIDITY, UIDs and POP3's unique ids stay as they were.

Messages come in the order of their UIDs, each in a commit of its own that also notes how far we are,
so an import that was broken off is begun anew and goes on. UIDs only rise: where new mail has taken a
UID meanwhile, the message from the other server gets the next one, and the caller is told.
"""

from __future__ import annotations

from dataclasses import dataclass

from posthouse.mail.errors import PermanentFailure
from posthouse.storage.appending import Appended, NewMessage, append_all
from posthouse.storage.mailboxes import NoSuchMailbox, create_mailbox, find_mailbox
from posthouse.storage.pool import Pool, transaction

LAST_UID = 2**32 - 1  # RFC 3501 §9 nz-number


class NotEmpty(PermanentFailure):
    """The mailbox has a life of its own already: its UIDs cannot become those of another."""


class UidlTaken(PermanentFailure):
    """Another message of the mailbox has this unique id."""


# A mailbox is another's only as long as nobody can have seen a UID of it.
_ADOPT = """
    update mailboxes set uidvalidity = $3
     where account_id = $1 and name = $2 and (uidnext = 1 or uidvalidity = $3)
    returning imported_uid
"""


async def adopt(pool: Pool, account: int, name: str, uidvalidity: int) -> int:
    """Make ``name`` the mailbox of another server; return the last UID that came from there, or 0.

    Raises `NotEmpty`, or `TooManyMailboxes`.
    """
    async with transaction(pool) as tx:
        try:
            await find_mailbox(tx, account, name)
        except NoSuchMailbox:
            await create_mailbox(tx, account, name)
        row = await tx.fetchrow(_ADOPT, account, name, uidvalidity)
    if row is None:
        raise NotEmpty(f"{name} has had messages of its own")
    return int(row["imported_uid"])


_REACH = """
    update mailboxes set uidnext = greatest(uidnext, $4)
     where account_id = $1 and name = $2 and uidvalidity = $3
"""


async def reach(pool: Pool, account: int, name: str, uidvalidity: int, uidnext: int) -> None:
    """Give no UID below ``uidnext``: those the other server gave and whose messages are gone."""
    await pool.execute(_REACH, account, name, uidvalidity, uidnext)


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One message of another server.

    Attributes:
        message: As if it were appended; its object is durable already.
        uidvalidity: What `adopt` set.
        uid: Its UID there, and here.
        uidl: Its unique id by POP3; empty for ours.
    """

    message: NewMessage
    uidvalidity: int
    uid: int
    uidl: str = ""


# Row lock: of two imports of one mailbox one waits for the other's message.
_BEGIN = """
    update mailboxes m
       set uidnext = case when old.imported_uid < $4 then greatest(m.uidnext, $4) else m.uidnext end,
           imported_uid = greatest(old.imported_uid, $4)
      from (select account_id, mailbox_id, imported_uid from mailboxes
             where account_id = $1 and name = $2 and uidvalidity = $3 for update) old
     where m.account_id = old.account_id and m.mailbox_id = old.mailbox_id
    returning old.imported_uid
"""
_NAME = """
    insert into uidls (account_id, content_id, mailbox_id, uid, uidl)
    select account_id, content_id, mailbox_id, uid, $4 from messages
     where account_id = $1 and mailbox_id = $2 and uid = $3
    on conflict (account_id, mailbox_id, uidl) do nothing
    returning uid
"""


async def import_message(pool: Pool, one: Import) -> Appended | None:
    """File a message under its UID, or the next one if that is taken; None if it has been here.

    All or nothing. Raises `NoSuchMailbox` (also for another UIDVALIDITY), `OverQuota`, `UidlTaken`.
    """
    message = one.message
    where = message.account, message.mailbox, one.uidvalidity
    async with transaction(pool) as tx:
        row = await tx.fetchrow(_BEGIN, *where, one.uid)
        if row is None:
            raise NoSuchMailbox("No such mailbox")
        if row["imported_uid"] >= one.uid:
            return None
        [done] = await append_all(tx, [message])
        if isinstance(done, PermanentFailure):
            raise done
        if one.uidl:
            key = message.account, done.mailbox, done.uid
            if await tx.fetchval(_NAME, *key, one.uidl) is None:
                raise UidlTaken(f"Another message has the unique id {one.uidl}")
    return done
