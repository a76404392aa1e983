"""Mail that waits for the outside: made by the ledger's own statements, and looked at."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from msgspec import structs

from posthouse.mail.ids import new_id
from posthouse.mail.outcome import Deferred
from posthouse.mail.status import Status
from posthouse.storage import ledger
from posthouse.storage.ledger import Branch, Changed, Choice, Kept, Place, Walk
from posthouse.storage.pool import Pool, Tx, transaction
from support.ledger import a_mail

AWAY = Status(451, (4, 4, 1))
ATTEMPTS = 3


async def deferred(
    pool: Pool,
    *addresses: str,
    sender: str = "carl@far.test",
    auth: str = "",
    age: timedelta = timedelta(),
    wait: timedelta = timedelta(hours=4),
    reply: str = "away",
) -> UUID:
    """Enter a mail to ``addresses``, route it to the outside and defer all; return its id."""
    made = datetime.now(UTC) - age
    mail = a_mail(*addresses, sender=sender, ident=new_id(int(made.timestamp() * 1000)))
    mail = structs.replace(mail, auth=auth)
    await ledger.enter(pool, [mail])
    ways = [
        (mail.id, Kept(n, Branch(road="remote", address=a, domain=a.rpartition("@")[2])))
        for n, a in enumerate(addresses)
    ]
    await ledger.routed(pool, ways)
    until = datetime.now(UTC) + wait
    outcomes = [
        Deferred(n=n, status=AWAY, reply=reply, host="", until=until) for n in range(len(addresses))
    ]
    await ledger.settle(pool, mail.id, outcomes, ATTEMPTS, [])
    return mail.id


async def decided(
    pool: Pool,
    choice: Choice,
    decision: Callable[[Tx, Sequence[Place]], Awaitable[Changed]],
) -> Changed:
    """Take a decision of everything that ``choice`` finds."""
    async with transaction(pool) as tx:
        chosen = await ledger.choose(tx, choice, Walk(began=datetime.now(UTC)), 1000)
        free = await ledger.take(tx, chosen)
        return await decision(tx, [each.place for each in free])


async def is_true(pool: Pool) -> bool:
    """True if the table of what waits says what the ledger says."""
    kept = await pool.fetch("select envelope, n, held, said from waiting order by 1, 2")
    told = await pool.fetch(
        """select envelope, n, state = 'held' as held, words_said(status, reply, host) as said
             from recipients where road = 'remote' and state in ('deferred', 'held')
            order by 1, 2"""
    )
    return [tuple(row) for row in kept] == [tuple(row) for row in told]
