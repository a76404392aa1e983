"""Which mailboxes somebody wants to see, one's own and other people's (RFC 3501 §6.3.6)."""

from __future__ import annotations

from posthouse.storage.mailboxes import NoSuchMailbox
from posthouse.storage.pool import Queries

_SUBSCRIBE = """
    with done as (
      update mailboxes set subscribed = $3 where account_id = $1 and name = $2 returning 1
    ), gone as (
      delete from subscriptions where account_id = $1 and name = $2 and not $3
    )
    select exists (select from done)
"""


async def subscribe(pool: Queries, account: int, name: str, *, on: bool) -> None:
    """Subscribe to ``name`` or end that; raise `NoSuchMailbox` to subscribe to nothing."""
    if not await pool.fetchval(_SUBSCRIBE, account, name, on) and on:
        raise NoSuchMailbox("No such mailbox")


_SUBSCRIBE_ELSEWHERE = "insert into subscriptions values ($1, $2) on conflict do nothing"
_UNSUBSCRIBE_ELSEWHERE = "delete from subscriptions where account_id = $1 and name = $2"


async def subscribe_elsewhere(pool: Queries, account: int, name: str, *, on: bool) -> None:
    """Remember that ``account`` is subscribed to a mailbox of somebody else, or forget it."""
    await pool.execute(_SUBSCRIBE_ELSEWHERE if on else _UNSUBSCRIBE_ELSEWHERE, account, name)


_SUBSCRIBED = "select name from subscriptions where account_id = $1 order by name"


async def lost_subscriptions(pool: Queries, account: int) -> list[str]:
    """Return the names that are subscribed to and have no mailbox."""
    return [row["name"] for row in await pool.fetch(_SUBSCRIBED, account)]
