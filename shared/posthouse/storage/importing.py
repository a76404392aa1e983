"""Mailboxes that come from another server: UIDVALIDITY, UIDs and POP3's unique ids stay as they were.

Messages come in the order of their UIDs, each in a commit of its own that also notes how far we are,
so an import that was broken off is begun anew and goes on. UIDs only rise: where new mail has taken a
UID meanwhile, the message from the other server gets the next one, and the caller is told.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from posthouse.mail.errors import PermanentFailure
from posthouse.storage.appending import Appended, NewMessage, append_all
from posthouse.storage.mailboxes import (
    INBOX,
    MAX_NAME_OCTETS,
    SEPARATOR,
    Mailbox,
    NoSuchMailbox,
    create_mailbox,
    find_mailbox,
    set_special_uses,
)
from posthouse.storage.messages import add_keywords, keyword_names
from posthouse.storage.pool import Pool, Tx, transaction

LAST_UID = 2**32 - 1  # RFC 3501 §9 nz-number
MAX_LEVELS = 50
MAX_KEYWORDS = 1000  # of one account, with those it brings; by itself it makes fewer

Where: TypeAlias = tuple[int, str, int]  # account, name, uidvalidity


class NotEmpty(PermanentFailure):
    """The mailbox has a life of its own already: its UIDs cannot become those of another."""


class UidlTaken(PermanentFailure):
    """Another message of the mailbox has this unique id."""


def name_here(name: str) -> str:
    """Return what a mailbox of another server is called here: a name that IMAP can say.

    What is called ``user`` or ``shared`` would be other people's; levels without a name, and characters
    that stand for patterns or cannot be seen, become ``_``.
    """
    levels = [
        "".join("_" if ch in "*%" or not ch.isprintable() else ch for ch in level) or "_"
        for level in name.split(SEPARATOR)[:MAX_LEVELS]
    ]
    if levels[0].upper() == INBOX:
        levels[0] = INBOX
    if levels[0] in ("user", "shared"):
        levels[0] = f"own {levels[0]}"
    whole = SEPARATOR.join(levels).encode()[:MAX_NAME_OCTETS]
    return whole.decode("utf-8", "ignore").rstrip(SEPARATOR)


# A mailbox is another's only as long as nobody can have seen a UID of it.
_ADOPT = """
    update mailboxes set uidvalidity = $3
     where account_id = $1 and name = $2 and (uidnext = 1 or uidvalidity = $3)
    returning imported_uid
"""


async def adopt(pool: Pool, where: Where, uses: Sequence[str] = ()) -> int:
    """Make a mailbox that of another server; return the last UID that came from there, or 0.

    It gets the special ``uses``, which another mailbox loses (RFC 6154 §3).
    Raises `NotEmpty`, or `TooManyMailboxes`.
    """
    account, name, _ = where
    async with transaction(pool) as tx:
        box = await _found_or_made(tx, account, name)
        row = await tx.fetchrow(_ADOPT, *where)
        if row is None:
            raise NotEmpty(f"{name} has had messages of its own")
        if uses:
            await set_special_uses(tx, account, box.id, uses)
    return int(row["imported_uid"])


async def _found_or_made(tx: Tx, account: int, name: str) -> Mailbox:
    try:
        return await find_mailbox(tx, account, name)
    except NoSuchMailbox:
        return await create_mailbox(tx, account, name)


_SUBSCRIBE = """
    with had as (
      update mailboxes set subscribed = true where account_id = $1 and name = any ($2::text[]) returning name
    )
    insert into subscriptions (account_id, name)
    select $1, name from unnest($2::text[]) as wanted (name) except select $1, name from had
    on conflict do nothing
"""


async def subscribe_all(pool: Pool, account: int, names: Collection[str]) -> None:
    """Subscribe to ``names``, also to those that are no mailbox (RFC 3501 §6.3.6); none is ended."""
    await pool.execute(_SUBSCRIBE, account, list(names))


async def keyword_ids(pool: Pool, account: int, names: Sequence[str]) -> dict[str, int]:
    """Return the ids of keywords by name, new ones made; those beyond `MAX_KEYWORDS` are left out."""
    known = _by_name(await keyword_names(pool, account)) if names else {}
    new = dict.fromkeys(name.lower() for name in names if name.lower() not in known)
    if new:
        fitting = list(new)[: max(0, MAX_KEYWORDS - len(known))]
        made = [name for name in names if name.lower() in fitting]
        known = _by_name(await add_keywords(pool, account, made, MAX_KEYWORDS))
    return {name: known[name.lower()] for name in names if name.lower() in known}


def _by_name(known: dict[str, int]) -> dict[str, int]:
    return {name.lower(): number for name, number in known.items()}


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
_REMEMBER = """
    insert into imports (account_id, mailbox_id, old_uid, uid, flags, keywords)
    values ($1, $2, $3, $4, $5, $6)
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
        await tx.execute(
            _REMEMBER,
            message.account,
            done.mailbox,
            one.uid,
            done.uid,
            message.flags,
            sorted(message.keywords),
        )
        if one.uidl:
            key = message.account, done.mailbox, done.uid
            if await tx.fetchval(_NAME, *key, one.uidl) is None:
                raise UidlTaken(f"Another message has the unique id {one.uidl}")
    return done
