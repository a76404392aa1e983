"""``make bench BENCH="--imap --million"``: a mailbox of 1,000,000 messages, and who must not notice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import closing

from bench.imap.bystander import Bystander
from bench.imap.client import Client
from bench.imap.letters import letters
from bench.imap.ours import Gateway, gateway, user
from posthouse.storage.pool import Pool

A_MILLION = 1_000_000
FILLED = 1000  # of which the others are copies
BLOCK_MS = 20.0  # so long may one session keep the others of its process waiting
NEW_MS, WARM_MS = 500.0, 5.0  # for SELECT, and for the command that then reads the mailbox

# As if the first messages had been copied again and again.
_COPY = """
    with box as (
        update mailboxes m set uidnext = $2 + 1, exists_ = $2, modseq = modseq + 1,
               octets = octets * ($2 / exists_)
          from accounts a where a.account_id = m.account_id and m.name = 'INBOX' and a.address = $1
        returning m.account_id, m.mailbox_id, m.modseq
    ), added as (
        insert into messages (account_id, mailbox_id, content_id, modseq, internaldate, savedate,
                              uid, flags, size)
        select m.account_id, m.mailbox_id, m.content_id, b.modseq, m.internaldate, m.savedate,
               n * $3 + m.uid, m.flags, m.size
          from box b join messages m using (account_id, mailbox_id)
          cross join generate_series(1, $2 / $3 - 1) n
    )
    insert into changes select account_id, mailbox_id, modseq, 'a', int8send($3 + 1) || int8send($2)
      from box
"""
_SELECT, _FIRST = "SELECT INBOX", "FETCH 999999 (FLAGS)"
_ROWS = (
    "FETCH 1:* (FLAGS UID)",
    "FETCH 999900:* (ENVELOPE RFC822.SIZE)",
    "UID FETCH 500000 (BODY.PEEK[])",
    "SEARCH UNSEEN",
    "UID SEARCH RETURN (SAVE COUNT) OR UNSEEN NOT FLAGGED",
    'SEARCH SUBJECT "quarter"',
    'SEARCH FROM "Adler"',
    'SEARCH TEXT "xylotherapy"',
    "SEARCH SINCE 1-Jan-2020",
    "SORT (SUBJECT) UTF-8 ALL",
    "THREAD REFERENCES UTF-8 ALL",
    "STORE 500000 +FLAGS (\\Deleted)",
    "EXPUNGE",
    "STORE 1:* +FLAGS.SILENT (\\Flagged)",
    "UID EXPUNGE 1:1000",
    "FETCH 1:* (FLAGS) (CHANGEDSINCE 3)",
    "STORE 1:* +FLAGS.SILENT (\\Flagged later)",
    "COPY 1:20000 Trash",
)


async def look(say: Callable[[str], None]) -> int:
    """Fill, ask, and tell; return 1 if SELECT or a bystander waits for too long."""
    async with gateway(2, say) as system:
        await asyncio.to_thread(_fill, system)
        await _multiply(system.house.pool)
        say(f"{A_MILLION} messages")
        await system.renew()
        return await asyncio.to_thread(_look, system, say)


def _fill(system: Gateway) -> None:
    for n in range(2):
        with Client(system.port, user(n), system.password) as client:
            client.fill("INBOX", letters(FILLED, seed=7))


async def _multiply(pool: Pool) -> None:
    await pool.execute(_COPY, user(0), A_MILLION, FILLED)
    await pool.execute("vacuum (analyze) messages")  # as autovacuum would have by and by


def _look(system: Gateway, say: Callable[[str], None]) -> int:
    is_slow = False
    with closing(Bystander(system)) as bystander:
        client = Client(system.port, user(0), system.password)

        def row(name: str, command: str, aim: float = float("inf")) -> None:
            nonlocal is_slow
            with bystander.watching() as waits:
                began = time.perf_counter()
                client.say(command)
                took = (time.perf_counter() - began) * 1000
            say(f"{name:52} {took:8.1f} {waits}")
            is_slow = is_slow or took > aim or waits.own > BLOCK_MS

        heads = " ".join(f"{head:>8}" for head in ("itself", "others", "loop", "sleeper"))
        say(f"{'ms; see bench/imap/bystander.py':52} {heads}")
        row("SELECT, new", _SELECT, aim=NEW_MS)
        row(f"{_FIRST}, which reads the mailbox", _FIRST, aim=NEW_MS)
        row("SELECT, warm", _SELECT, aim=WARM_MS)
        for command in _ROWS:
            row(command, command)
    return int(is_slow)
