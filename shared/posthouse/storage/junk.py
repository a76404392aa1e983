r"""Where mail goes that looks like spam: the mailbox with the use ``\Junk`` (RFC 6154 §2)."""

from __future__ import annotations

from collections.abc import Sequence

from posthouse.storage.mailboxes import (
    MailboxExists,
    NoRoomForMailbox,
    TooManyMailboxes,
    create_mailbox,
    find_mailbox,
    set_special_uses,
)
from posthouse.storage.pool import Pool, Tx

NAME = "Junk"  # of one that has to be made
USE = "\\Junk"

_FIND = r"""
    select a.account_id, m.name
      from accounts a left join lateral (
        select name from mailboxes
         where account_id = a.account_id and string_to_array(special_use, ' ') @> array['\Junk']
         order by name limit 1) m on true
     where a.account_id = any ($1::bigint[])
"""


async def junk_mailboxes(pool: Pool | Tx, accounts: Sequence[int]) -> dict[int, str]:
    """Return the name of each account's mailbox for spam, made where there is none.

    Who may have no more mailboxes is not among them. Raises `Unavailable`.
    """
    if not accounts:
        return {}
    rows = await pool.fetch(_FIND, sorted(set(accounts)))
    found = {row["account_id"]: row["name"] for row in rows if row["name"] is not None}
    for row in rows:
        if row["name"] is None and await _made(pool, row["account_id"]):
            found[row["account_id"]] = NAME
    return found


async def _made(pool: Pool | Tx, account: int) -> bool:
    """Make the mailbox, or give its use to the one of that name; False if there may be none."""
    try:
        await create_mailbox(pool, account, NAME, (USE,))
    except MailboxExists:
        box = await find_mailbox(pool, account, NAME)
        if USE not in box.uses:  # else another delivery has just made it
            await set_special_uses(pool, account, box.id, (*box.uses, USE))
    except (TooManyMailboxes, NoRoomForMailbox):
        return False
    return True
