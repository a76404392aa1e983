"""A million recipients that wait: how long an operator waits for a list, a count, a filter."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from functools import partial
from statistics import median
from typing import get_args

from bench.ours import posthouse
from posthouse.storage import ledger
from posthouse.storage.ledger import By, Choice
from posthouse.storage.pool import Pool, transaction

STEP = 20_000  # rows of one statement
TIMES = 5  # each look
A_SECOND = 1.0
PAGE = 100

# What ingress, policy and delivery would have left of mail that 5,000 senders of 20 tenants sent to
# 1,000 domains, 10 ms apart. Without the trigger, whose rows are written here as it writes them: row
# by row it takes four times as long.
_WITHOUT_TRIGGERS = "set local session_replication_role = replica"
_FILL = """
    with made as (
        select g, 'user' || g % 5000 || '@tenant' || g % 20 || '.test' as sender,
               'far' || g % 1000 || '.test' as domain, (
                   lpad(to_hex((extract(epoch from now()) * 1000)::bigint - g * 10), 12, '0')
                   || '7' || lpad(to_hex(g % 4096), 3, '0') || '8' || lpad(to_hex(g), 15, '0')
               )::uuid as id,
               (now() - g * interval '10 milliseconds') at time zone 'utc' as at
          from generate_series($1::int, $2::int) g
    ), new_envelopes as (
        insert into envelopes (day, id, accepted_at, origin, sender, size, auth)
        select at::date, id, at, 'submission', sender, 4096, sender from made
    ), new_recipients as (
        insert into recipients (day, envelope, n, address, state, road, domain, routed_at, attempts,
                                next_attempt_at, status, reply, host)
        select at::date, id, 0, 'bert' || g || '@' || domain, 'deferred', 'remote', domain, at, 1,
               now() + interval '1 hour', '451 4.4.1',
               'not tried: ' || domain || ' rests until 12:13:14 after: Connection refused',
               'mx' || g % 3 || '.' || domain || ' [192.0.2.1]'
          from made
     returning *
    )
    insert into waiting (envelope, n, day, address, domain, sender, tenant, held, said)
    select r.envelope, r.n, r.day, r.address, r.domain, m.sender, tenant_of(m.sender, null, m.sender),
           false, words_said(r.status, r.reply, r.host)
      from new_recipients r join made m on m.id = r.envelope
"""

CHOICES = {
    "everything": Choice(),
    "a domain": Choice(domain="far7.test"),
    "all below a domain": Choice(domain=".test"),
    "nothing below a domain": Choice(domain=".nowhere.test"),
    "a sender": Choice(sender="user77@tenant17.test"),
    "senders of a domain": Choice(sender="@tenant17.test"),
    "recipients of a domain": Choice(recipient="@far7.test"),
    "a recipient": Choice(recipient="bert77@far77.test"),
    "a tenant": Choice(tenant="tenant3.test"),
    "older than an hour": Choice(older=timedelta(hours=1)),
    "deferred": Choice(state="deferred"),
    "held": Choice(state="held"),
    "a reply that most had": Choice(reply="connection refused"),
    "a reply that nobody had": Choice(reply="mailbox full"),
    "several": Choice(tenant="tenant3.test", reply="refused", older=timedelta(hours=1)),
}


async def fill(pool: Pool, count: int) -> None:
    """Make ``count`` deferred recipients, a mail each."""
    for first in range(0, count, STEP):
        async with transaction(pool) as tx:
            await tx.execute(_WITHOUT_TRIGGERS)
            await tx.execute(_FILL, first, min(first + STEP, count) - 1)
    await pool.execute("vacuum (analyze) waiting")  # as autovacuum would have by and by


def looks(pool: Pool) -> Iterator[tuple[str, Callable[[], Awaitable[object]]]]:
    """Yield what operators ask, with its name."""
    for name, choice in CHOICES.items():
        yield f"count {name}", partial(ledger.count_waiting, pool, choice)
        yield f"list {name}", partial(ledger.list_waiting, pool, choice, limit=PAGE)
    for by in get_args(By):
        yield f"count by {by}", partial(ledger.count_by, pool, Choice(), by, 20)


async def look(say: Callable[[str], None], count: int) -> int:
    """Fill, ask everything, and tell; return 1 if anything takes more than a second."""
    is_slow = False
    async with posthouse("bench.test", [], say) as system:
        began = time.perf_counter()
        await fill(system.pool, count)
        say(f"{count} recipients wait after {time.perf_counter() - began:.0f} s")
        for name, ask in looks(system.pool):
            seconds = [await _timed(ask) for _ in range(TIMES)]
            is_slow = is_slow or median(seconds) > A_SECOND
            say(f"{name:32} {median(seconds):6.3f} s, at best {min(seconds):.3f} s")
    return int(is_slow)


async def _timed(ask: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await ask()
    return time.perf_counter() - began
