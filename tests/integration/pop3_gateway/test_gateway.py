"""The POP3 gateway on real PostgreSQL and a real store: what is removed when, and what never."""

from __future__ import annotations

import asyncio
import os
import poplib
import socket
import ssl
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from pop3_gateway.leases import Leases
from posthouse.mail.ids import object_key
from posthouse.storage import mailboxes
from posthouse.storage.pool import Pool, open_pool
from posthouse.telemetry.metrics import exposition
from support.clockwork import watched
from support.dialogue import play
from support.filings import PREFIX, add_accounts
from support.pop3 import LIMITS, PASSWORD, Gateway, add_reader, gateway

pytestmark = pytest.mark.integration

LETTERS = [b"Subject: %d\r\n\r\nHello\r\n" % n for n in range(3)]
LOG_IN = f"S: +OK …\nC: USER anna@example.test\nS: +OK\nC: PASS {PASSWORD}\nS: +OK …\n"
MANY = int(os.environ.get("POSTHOUSE_TEST_MANY", "50000"))
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _close(streams: Streams) -> None:
    streams[1].close()
    await streams[1].wait_closed()


def _objects_missing() -> float:
    [line] = [
        line
        for line in exposition().decode().splitlines()
        if line.startswith("posthouse_pop3_objects_missing_total ")
    ]
    return float(line.split()[1])


async def _uids(pool: Pool) -> list[int]:
    return [row["uid"] for row in await pool.fetch("select uid from messages order by uid")]


async def test_quit_removes_what_was_marked_and_tells_imap(pool: Pool, tmp_path: Path) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as pop3:
        await pop3.deliver(account, *LETTERS)
        streams = await pop3.connect()
        await play(LOG_IN + "C: DELE 1\nS: +OK\nC: DELE 3\nS: +OK\nC: QUIT\nS: +OK …", *streams)
        await _close(streams)

        assert await _uids(pool) == [2]
        inbox = await mailboxes.find_mailbox(pool, account, "INBOX")
        [change] = pop3.desk.changes
        assert (change.account, change.mailbox, change.modseq) == (account, inbox.id, inbox.modseq)


async def test_a_lost_connection_removes_nothing_and_frees_the_maildrop(
    pool: Pool, tmp_path: Path
) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as pop3:
        await pop3.deliver(account, *LETTERS)
        streams = await pop3.connect()
        await play(LOG_IN + "C: DELE 1\nS: +OK", *streams)
        streams[1].transport.abort()
        await _close_quietly(streams)

        again = await _log_in_when_free(pop3)
        await play("C: STAT\nS: +OK 3 …\nC: QUIT\nS: +OK …", *again)
        await _close(again)
    assert await _uids(pool) == [1, 2, 3]


async def _close_quietly(streams: Streams) -> None:
    try:
        await _close(streams)
    except ConnectionError:
        return


async def _log_in_when_free(pop3: Gateway) -> Streams:
    """Log in as soon as the other session has ended."""
    while True:
        reader, writer = await pop3.connect()
        writer.write(f"USER anna@example.test\r\nPASS {PASSWORD}\r\n".encode())
        line = [await reader.readline() for _ in range(3)][-1]
        if line.startswith(b"+OK"):
            return reader, writer
        assert b"[IN-USE]" in line
        await _close((reader, writer))


async def test_a_second_session_in_another_process_is_told_that_the_maildrop_is_in_use(
    pool: Pool, tmp_path: Path
) -> None:
    await add_reader(pool)
    async with gateway(pool, tmp_path) as one, gateway(pool, tmp_path) as other:
        first, second = await one.connect(), await other.connect()
        await play(LOG_IN, *first)
        busy = LOG_IN.rpartition("S: ")[0] + "S: -ERR [IN-USE] …"
        await play(busy, *second)
        await play("C: QUIT\nS: +OK …\nS: [closes]", *first)

        await play("C: USER anna@example.test\nS: +OK", *second)
        await play(f"C: PASS {PASSWORD}\nS: +OK …\nC: QUIT\nS: +OK …", *second)
        await _close(first)
        await _close(second)


async def test_a_lost_lease_removes_nothing(pool: Pool, tmp_path: Path) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as pop3:
        await pop3.deliver(account, *LETTERS)
        streams = await pop3.connect()
        await play(LOG_IN + "C: DELE 1\nS: +OK", *streams)
        await pool.execute("update maildrop_leases set until = now() - interval '1 second'")
        other = await pop3.connect()
        await play(LOG_IN, *other)  # takes the maildrop over

        await play("C: QUIT\nS: -ERR [SYS/TEMP] …\nS: [closes]", *streams)
        await _close(streams)
        await _close(other)
    assert await _uids(pool) == [1, 2, 3]


async def test_a_lock_that_is_known_to_be_lost_takes_no_more_marks(
    pool: Pool, tmp_path: Path
) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as pop3:
        await pop3.deliver(account, *LETTERS)
        streams = await pop3.connect()
        await play(LOG_IN, *streams)
        await pool.execute("delete from maildrop_leases")
        await pop3.listener.house.maildrops.leases.renew()

        await play("C: DELE 1\nS: -ERR [SYS/TEMP] …\nC: RETR 1\nS: +OK …\nS* .", *streams)
        await _close(streams)


async def test_reading_is_noted_in_the_trace_and_marks_nothing(pool: Pool, tmp_path: Path) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as pop3:
        [ident] = await pop3.deliver(account, LETTERS[0])
        streams = await pop3.connect()
        await play(LOG_IN + "C: RETR 1\nS: +OK …\nS* .\nC: TOP 1 0\nS: +OK\nS* .", *streams)
        await _close(streams)

        assert pop3.desk.notes == [(ident, "read")]
    assert await pool.fetchval("select flags from messages") == 0


@pytest.mark.parametrize("size", [262_143, 262_144, 1_048_577, 3_000_000])
async def test_a_large_message_arrives_octet_for_octet(
    pool: Pool, tmp_path: Path, size: int
) -> None:
    account = await add_reader(pool)
    # Dots at the beginning of every line, so that chunks end at every place around them.
    letter = (b"Subject: big\r\n\r\n" + b".a\r\n..\r\n\r\n." * (size // 11 + 1))[
        : size - 2
    ] + b"\r\n"
    async with gateway(pool, tmp_path) as pop3:
        await pop3.deliver(account, letter)
        reader, writer = await pop3.connect()
        await play(LOG_IN + "C: RETR 1\nS: +OK …", reader, writer)
        lines = []
        while (line := await reader.readline()) != b".\r\n":
            lines.append(line.removeprefix(b"."))
        await _close((reader, writer))

    assert b"".join(lines) == PREFIX + letter


async def test_top_of_a_large_message_reads_only_what_it_needs(pool: Pool, tmp_path: Path) -> None:
    account = await add_reader(pool)
    letter = b"Subject: big\r\n\r\n" + b"line\r\n" * 400_000
    async with gateway(pool, tmp_path) as pop3:
        await pop3.deliver(account, letter)
        reader, writer = await pop3.connect()
        await play(LOG_IN + "C: TOP 1 100000\nS: +OK", reader, writer)
        lines = 0
        while await reader.readline() != b".\r\n":
            lines += 1
        await play("C: NOOP\nS: +OK", reader, writer)
        await _close((reader, writer))

    assert lines == 4 + 100_000


async def test_only_who_takes_utf8_gets_it_in_headers(pool: Pool, tmp_path: Path) -> None:
    account = await add_reader(pool)
    letter = "Subject: Grüße\r\nMessage-ID: <ü@b.test>\r\n\r\nGrüße\r\nzwei\r\n".encode()
    shown = "Return-Path: <bert@example.test>\nS: Delivered-To: anna@example.test\n"
    body = "S:\nS: Grüße\nS: zwei\nS: .\n"
    async with gateway(pool, tmp_path) as pop3:
        await pop3.deliver(account, letter)
        old, new = await pop3.connect(), await pop3.connect()
        told = f"{shown}S: Subject: =?utf-8?b?R3LDvMOfZQ==?=\n{body}"
        size = f"+OK {len(PREFIX) + len(letter)} octets\n"
        await play(LOG_IN + f"C: RETR 1\nS: {size}S: {told}C: TOP 1 2\nS: +OK\nS: {told}", *old)
        await play("C: QUIT\nS: +OK …", *old)

        log_in = LOG_IN.replace("C: USER", "C: UTF8\nS: +OK …\nC: USER", 1)
        told = f"{shown}S: Subject: Grüße\nS: Message-ID: <ü@b.test>\n{body}"
        await play(log_in + f"C: RETR 1\nS: {size}S: {told}C: TOP 1 2\nS: +OK\nS: {told}", *new)
        for streams in (old, new):
            await _close(streams)


async def test_a_missing_object_spoils_only_its_own_message(pool: Pool, tmp_path: Path) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as pop3:
        ids = await pop3.deliver(account, *LETTERS)
        await pop3.blobs.delete([object_key(ids[1])])
        streams, before = await pop3.connect(), _objects_missing()
        with capture_logs() as lines:
            await play(
                LOG_IN
                + "C: RETR 2\nS: -ERR [SYS/PERM] …\nC: RETR 3\nS: +OK …\nS* .\nC: QUIT\nS: +OK …",
                *streams,
            )
        await _close(streams)

        [told] = [line for line in lines if line["log_level"] != "info"]
        assert (told["log_level"], told["message"]) == ("error", str(ids[1]))
        assert _objects_missing() == before + 1


async def test_a_shortened_object_is_not_taken_for_the_message(pool: Pool, tmp_path: Path) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as pop3:
        [ident] = await pop3.deliver(account, LETTERS[0])
        await pop3.blobs.delete([object_key(ident)])
        await pop3.blobs.put(object_key(ident), LETTERS[0][:-5])
        streams = await pop3.connect()
        await play(LOG_IN + "C: RETR 1\nS: -ERR [SYS/PERM] …\nC: QUIT\nS: +OK …", *streams)
        await _close(streams)


async def test_a_silent_client_is_closed_without_a_word_and_nothing_is_removed(
    pool: Pool, tmp_path: Path
) -> None:
    account = await add_reader(pool)
    limits = replace(LIMITS, silence=timedelta(milliseconds=200))
    async with gateway(pool, tmp_path, limits=limits) as pop3:
        await pop3.deliver(account, *LETTERS)
        streams = await pop3.connect()
        await play(LOG_IN + "C: DELE 1\nS: +OK\nS: [closes]", *streams)
        await _close_quietly(streams)
    assert await _uids(pool) == [1, 2, 3]


async def test_a_silent_client_is_told_that_tls_ends(pool: Pool, tmp_path: Path) -> None:
    limits = replace(LIMITS, before_login=timedelta(milliseconds=200))
    async with gateway(pool, tmp_path, limits=limits) as pop3:

        def read() -> bytes:
            with (
                socket.create_connection(pop3.listener.addresses[1], timeout=10) as plain,
                pop3.trust.wrap_socket(
                    plain, server_hostname="localhost", suppress_ragged_eofs=False
                ) as client,
                client.makefile("rb") as lines,
            ):
                return lines.read()  # fails where the end may be an attacker's

        assert await asyncio.to_thread(read) == b"+OK Posthouse POP3 ready\r\n"


async def test_a_client_that_takes_nothing_is_closed(pool: Pool, tmp_path: Path) -> None:
    account = await add_reader(pool)
    limits = replace(LIMITS, silence=timedelta(milliseconds=200))
    async with gateway(pool, tmp_path, limits=limits) as pop3:
        await pop3.deliver(account, b"Subject: big\r\n\r\n" + b"x" * 30_000_000 + b"\r\n")
        reader, writer = await pop3.connect()
        await play(LOG_IN + "C: RETR 1", reader, writer)

        async with asyncio.timeout(10):
            while pop3.listener.count:  # noqa: ASYNC110 - a client that reads nothing sees nothing
                await asyncio.sleep(0.02)
        await _close_quietly((reader, writer))


async def test_more_clients_than_allowed_are_sent_away(pool: Pool, tmp_path: Path) -> None:
    limits = replace(LIMITS, connections_per_client=2)
    async with gateway(pool, tmp_path, limits=limits) as pop3:
        inside = [await pop3.connect(), await pop3.connect()]
        for streams in inside:
            await play("S: +OK …", *streams)
        outside = await pop3.connect()

        await play(
            "S: -ERR [SYS/TEMP] Too many connections from your network\nS: [closes]", *outside
        )
        host, port = pop3.listener.addresses[0]
        other = await asyncio.open_connection(host, port, local_addr=("127.0.0.2", 0))
        await play("S: +OK …\nC: QUIT\nS: +OK …", *other)

        await play("C: QUIT\nS: +OK …\nS: [closes]", *inside[0])
        again = await pop3.connect()
        await play("S: +OK …\nC: QUIT\nS: +OK …", *again)
        for streams in (*inside, outside, other, again):
            await _close(streams)


async def test_at_the_end_those_who_work_may_finish(pool: Pool, tmp_path: Path) -> None:
    account = await add_reader(pool)
    opened = gateway(pool, tmp_path)
    pop3 = await opened.__aenter__()
    await pop3.deliver(account, *LETTERS)
    working, idle = await pop3.connect(), await pop3.connect()
    await play(LOG_IN + "C: DELE 2\nS: +OK", *working)
    await play("S: +OK …", *idle)

    async with asyncio.TaskGroup() as tasks:
        end = tasks.create_task(opened.__aexit__(None, None, None))
        await play("S: [closes]", *idle)
        assert not end.done()
        await play("C: DELE 1\nS: +OK\nC: QUIT\nS: +OK …\nS: [closes]", *working)

    assert await _uids(pool) == [3]
    await _close_quietly(idle)
    await _close_quietly(working)


async def test_the_standard_library_reads_everything(pool: Pool, tmp_path: Path) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as pop3:
        await pop3.deliver(account, *LETTERS)
        host, port = pop3.listener.addresses[1]
        read = await asyncio.to_thread(_read_all, port, pop3.trust)
        assert host == "127.0.0.1"
    assert read == [(PREFIX + letter).split(b"\r\n")[:-1] for letter in LETTERS]


def _read_all(port: int, trust: ssl.SSLContext) -> list[list[bytes]]:
    client = poplib.POP3_SSL("localhost", port, context=trust, timeout=10)
    try:
        client.user("anna@example.test")
        client.pass_(PASSWORD)
        return [client.retr(n + 1)[1] for n in range(client.stat()[0])]
    finally:
        client.quit()


_MANY = """
    insert into messages (account_id, mailbox_id, content_id, modseq, internaldate, savedate, uid, size)
    select account_id, mailbox_id, n, 1, now(), now(), n, 10
      from mailboxes, generate_series(1, $2::int) n where account_id = $1 and name = 'INBOX'
"""
_COUNTED = """
    update mailboxes set exists_ = $2, octets = $2 * 10, uidnext = $2 + 1
     where account_id = $1 and name = 'INBOX'
"""


async def test_twelve_thousand_messages_are_listed(pool: Pool, tmp_path: Path) -> None:
    account = await add_reader(pool)
    await pool.execute(_MANY, account, 12_000)
    async with gateway(pool, tmp_path) as pop3:
        reader, writer = await pop3.connect()
        await play(LOG_IN + "C: UIDL\nS: +OK", reader, writer)
        found = [await reader.readline() for _ in range(12_000)]
        await play("S: .\nC: QUIT\nS: +OK …", reader, writer)
        await _close((reader, writer))
    assert len({line.split()[1] for line in found}) == 12_000


async def test_very_many_messages_are_opened_and_removed_while_others_are_served(
    pool: Pool, tmp_path: Path
) -> None:
    account = await add_reader(pool)
    await add_reader(pool, "bert")
    await pool.execute(_MANY, account, MANY)
    await pool.execute(_COUNTED, account, MANY)
    async with gateway(pool, tmp_path) as pop3, watched("a large maildrop"):
        reader, writer = await pop3.connect()
        await play(LOG_IN + f"C: STAT\nS: +OK {MANY} {MANY * 10}", reader, writer)
        for first in range(1, MANY + 1, 1000):
            numbers = range(first, first + 1000)
            writer.write(b"".join(b"DELE %d\r\n" % n for n in numbers))
            assert await reader.readexactly(5000) == b"+OK\r\n" * 1000
        await play("C: STAT\nS: +OK 0 0\nC: QUIT", reader, writer)
        other = await pop3.connect()
        await play(LOG_IN.replace("anna@", "bert@"), *other)
        async with asyncio.timeout(60):
            assert (await reader.readline()).startswith(b"+OK")
        await _close((reader, writer))
        await _close(other)
    assert await pool.fetchval("select count(*) from messages") == 0


async def test_without_postgresql_a_login_is_asked_to_come_again(tmp_path: Path) -> None:
    # Nobody listens on the discard port.
    async with (
        open_pool("postgresql://postgres@127.0.0.1:9/nowhere", connections=1) as pool,
        gateway(pool, tmp_path) as pop3,
    ):
        streams = await pop3.connect()
        refused = LOG_IN.rpartition("S: ")[0] + "S: -ERR [SYS/TEMP] …\nC: QUIT\nS: +OK …"
        await play(refused, *streams)
        await _close(streams)


async def test_leases_are_renewed_and_a_lost_one_is_noticed(pool: Pool) -> None:
    accounts = await add_accounts(pool, "anna", "bert")
    leases = Leases(pool)
    kept, lost = [await leases.take(account) for account in accounts.values()]
    await pool.execute("update maildrop_leases set until = now() + interval '1 second'")
    await pool.execute("delete from maildrop_leases where holder = $1", lost.holder)

    await leases.renew()

    assert leases.is_held(kept)
    assert not leases.is_held(lost)
    left = await pool.fetchval("select until > now() + interval '2 seconds' from maildrop_leases")
    assert left is True
