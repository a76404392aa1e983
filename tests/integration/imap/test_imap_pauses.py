"""A mailbox of very many messages holds up nobody but its own session."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import closing
from pathlib import Path

import pytest

from posthouse.storage.mailboxes import find_mailbox
from posthouse.storage.messages import expunge
from posthouse.storage.pool import Pool
from support.clockwork import watched
from support.imap import LETTER, PASSWORD, Gateway, add_reader, gateway

pytestmark = pytest.mark.integration

MANY = int(os.environ.get("POSTHOUSE_TEST_MANY", "200000"))

_FILL = """
    insert into messages (account_id, mailbox_id, content_id, modseq, internaldate, savedate, uid, flags, size)
    select $1, mailbox_id, (select min(content_id) from contents), 2, now(), now(), n, 1, 100
      from mailboxes, generate_series(2, $2::int) n where account_id = $1 and name = 'INBOX'
"""
_COUNT = "update mailboxes set exists_ = $2, uidnext = $2 + 1, octets = $2 where account_id = $1 and name = 'INBOX'"


class Caller:
    """A client in a thread of its own: what it does with long answers holds up no loop."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._number = 0

    def _ask(self, command: str) -> bytes:
        self._number += 1
        tag = f"p{self._number}".encode()
        self._socket.sendall(tag + b" " + command.encode() + b"\r\n")
        heard = [self._socket.recv(1 << 20)]
        while b"\r\n" + tag + b" " not in (b"".join(heard[-2:]))[-8192:]:
            heard.append(self._socket.recv(1 << 20))
        return b"".join(heard)

    async def ask(self, command: str) -> bytes:
        """Give a command while the clockwork runs; return all that was heard."""
        async with watched(command):
            return await asyncio.to_thread(self._ask, command)

    def close(self) -> None:
        self._socket.close()


async def fill(pool: Pool, imap: Gateway, account: int) -> int:
    """Fill INBOX and return its id."""
    await imap.deliver(account, LETTER)
    await pool.execute(_FILL, account, MANY)
    await pool.execute(_COUNT, account, MANY)
    return (await find_mailbox(pool, account, "INBOX")).id


async def test_no_command_on_very_many_messages_holds_up_the_others(
    pool: Pool, tmp_path: Path
) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as imap:
        mailbox = await fill(pool, imap, account)
        with closing(Caller(imap.ports[0])) as anna, closing(Caller(imap.ports[0])) as bert:
            for one in (anna, bert):
                await asyncio.to_thread(one._ask, f'LOGIN anna@example.test "{PASSWORD}"')
                assert b"* %d EXISTS\r\n" % MANY in await one.ask("SELECT INBOX")
            assert (await anna.ask("SEARCH UNDELETED")).count(b" ") >= MANY
            assert (await anna.ask("UID SEARCH SEEN")).count(b" ") >= MANY - 1

            gone = list(range(1, MANY + 1, 3))
            await expunge(pool, account, mailbox, gone, deleted_only=False)
            assert (await anna.ask("NOOP")).count(b" EXPUNGE\r\n") == len(gone)
            found = (await bert.ask("SEARCH UNDELETED")).split(b"\r\n")[0].split()[2:]
            assert found == [b"%d" % n for n in range(1, MANY + 1) if n % 3 != 1]
            changed = (await anna.ask("STORE 1:* +FLAGS (\\Flagged)")).count(b" FETCH (FLAGS (")
            assert changed == MANY - len(gone)
            assert (await bert.ask("NOOP")).count(b" FETCH (FLAGS (") == changed
