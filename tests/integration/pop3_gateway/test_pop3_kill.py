"""kill -9 of the real process in the middle of QUIT: all marked messages went, or none."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from posthouse.storage import maildrop
from posthouse.storage.pool import Pool
from support.dialogue import play
from support.pop3 import PASSWORD, add_reader
from support.processes import Service, free_port

pytestmark = pytest.mark.integration

MESSAGES = 20_000
_FILL = """
    insert into messages (account_id, mailbox_id, content_id, modseq, internaldate, savedate, uid, size)
    select account_id, mailbox_id, n, 1, now(), now(), n, 10
      from mailboxes, generate_series(1, $2::int) n where account_id = $1 and name = 'INBOX'
    on conflict do nothing
"""
_COUNT = """
    update mailboxes set exists_ = $2, octets = $2 * 10, uidnext = $2 + 1
     where account_id = $1 and name = 'INBOX'
"""
LOG_IN = f"S: +OK …\nC: USER anna@example.test\nS: +OK\nC: PASS {PASSWORD}\nS: +OK …"


@pytest.fixture
def service(postgres_url: str, broker_url: str, tmp_path: Path) -> Service:
    settings = {
        "POSTHOUSE_DATABASE_URL": postgres_url,
        "POSTHOUSE_BROKER_URL": broker_url,
        "POSTHOUSE_STORE": f"disk:{tmp_path}/objects",
        "POSTHOUSE_HOSTNAME": "mail.example.test",
        "POSTHOUSE_POP3_PORT": str(free_port()),
        "POSTHOUSE_POP3S_PORT": "0",
        "POSTHOUSE_PLAINTEXT_AUTH": "true",
    }
    return Service("pop3_gateway", settings, tmp_path / "log")


@pytest.mark.parametrize("milliseconds", [5, 60])
async def test_a_gateway_killed_at_quit_removed_all_or_nothing(
    pool: Pool, service: Service, milliseconds: int
) -> None:
    account = await add_reader(pool)
    await pool.execute(_FILL, account, MESSAGES)
    await pool.execute(_COUNT, account, MESSAGES)
    port = int(service.settings["POSTHOUSE_POP3_PORT"])
    await service.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await play(LOG_IN, reader, writer)
    writer.write(b"".join(b"DELE %d\r\n" % n for n in range(1, MESSAGES, 2)))
    assert await reader.readexactly(5 * MESSAGES // 2) == b"+OK\r\n" * (MESSAGES // 2)
    writer.write(b"QUIT\r\n")

    await asyncio.sleep(milliseconds / 1000)
    await service.kill()
    writer.close()

    # What PostgreSQL had begun it ends or takes back by itself: it sees that nobody is there.
    async with asyncio.timeout(30):
        while await pool.fetchval(_BUSY):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)
    left = [row["uid"] for row in await pool.fetch("select uid from messages order by uid")]
    assert left in (list(range(1, MESSAGES + 1)), list(range(2, MESSAGES + 1, 2)))
    exists = await pool.fetchval("select exists_ from mailboxes where name = 'INBOX'")
    assert exists == len(left)
    if len(left) == MESSAGES:  # the lease ends by itself
        assert await pool.fetchval("select until < now() + interval '11 s' from maildrop_leases")


async def _log_in(service: Service, answer: str) -> asyncio.StreamWriter:
    port = int(service.settings["POSTHOUSE_POP3_PORT"])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await play(f"{LOG_IN.rpartition('S:')[0]}S: {answer}", reader, writer)
    return writer


async def test_a_killed_session_locks_its_maildrop_for_its_lease_and_no_longer(
    pool: Pool, service: Service
) -> None:
    await add_reader(pool)
    await service.start()
    sessions = [await _log_in(service, "+OK 0 messages, 0 octets")]

    await service.kill()
    is_short = await pool.fetchval(
        "select until <= now() + $1::interval from maildrop_leases", maildrop.LEASE
    )
    await pool.execute("update maildrop_leases set until = until + interval '2 min'")  # to start in
    await service.start()
    sessions.append(await _log_in(service, "-ERR [IN-USE] …"))
    await pool.execute("update maildrop_leases set until = now() - interval '1 ms'")
    sessions.append(await _log_in(service, "+OK 0 messages, 0 octets"))

    assert is_short
    for each in sessions:
        each.close()
        with suppress(ConnectionError):  # the first was killed at the other end
            await each.wait_closed()


_BUSY = """
    select count(*) from pg_stat_activity
     where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle'
"""
