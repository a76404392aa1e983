"""Real programs read a whole mailbox of letters of every shape: all sizes and octets are equal.

`make test` takes a few hundred letters, `make clients` 5,000 (`POSTHOUSE_TEST_LETTERS`).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from hashlib import sha256

import aioimaplib
import imapclient
import pytest

from support.clients import Desk, getmail, kept, mutt_into_maildir
from support.letters import letter
from support.mirrors import mbsync, offlineimap
from support.readers import (
    SENT,
    alpine,
    fetchmail_keeping,
    imapflow,
    names,
    sums,
    unix,
    without,
)
from support.stack import House

pytestmark = pytest.mark.journey

_OFFLINE = policy.default.clone(cte_type="8bit", utf8=True, refold_source="none")


def by_getmail(octets: bytes) -> bytes:
    """Return what Python's email package makes of a message: missing delimiters are added, say."""
    return message_from_bytes(unix(octets)).as_bytes()


def by_offlineimap(octets: bytes) -> bytes:
    """Return what it makes of a message by the policies of offlineimap3, which writes nothing else."""
    read = message_from_bytes(octets, policy=_OFFLINE.clone(linesep="\r\n"))
    return read.as_bytes(policy=_OFFLINE)


def test_imaplib(reader: Desk) -> None:
    with reader.house.imap(reader.user) as client:
        client.select("INBOX", readonly=True)
        told = [part for part in client.fetch("1:*", "(RFC822.SIZE BODY.PEEK[])")[1] if part]

    got = [part for part in told if isinstance(part, tuple)]
    assert [octets for _, octets in got] == SENT
    sizes = [re.search(rb"RFC822.SIZE (\d+)", head) for head, _ in got]
    assert [int(size[1]) for size in sizes if size] == list(map(len, SENT))


def test_imapclient(reader: Desk) -> None:
    with imapclient.IMAPClient(
        "localhost", port=reader.house.port("imaps"), ssl_context=reader.house.trust
    ) as client:
        client.login(*reader.user)
        client.select_folder("INBOX", readonly=True)
        uids = client.search("ALL")
        got = client.fetch(uids, ["RFC822.SIZE", "BODY.PEEK[]", "ENVELOPE", "BODYSTRUCTURE"])

    assert [got[uid][b"BODY[]"] for uid in uids] == SENT
    assert [got[uid][b"RFC822.SIZE"] for uid in uids] == list(map(len, SENT))
    assert sorted(got[uid][b"ENVELOPE"].message_id for uid in uids) == names(SENT)


@asynccontextmanager
async def by_aioimaplib(house: House, user: tuple[str, str]) -> AsyncIterator[aioimaplib.IMAP4_SSL]:
    """Lend a client with INBOX open; it leaves its connection open behind LOGOUT, so we close it."""
    ended = asyncio.Event()
    client = aioimaplib.IMAP4_SSL(
        "localhost", house.port("imaps"), ssl_context=house.trust, timeout=60
    )
    client.protocol.conn_lost_cb = lambda _error: ended.set()
    await client.wait_hello_from_server()
    await client.login(*user)
    await client.select("INBOX")
    yield client
    await client.logout()
    client.protocol.transport.close()
    await asyncio.wait_for(ended.wait(), 30)


async def test_aioimaplib(reader: Desk) -> None:
    async with by_aioimaplib(reader.house, reader.user) as client:
        _, lines = await client.fetch("1:*", "(RFC822.SIZE BODY.PEEK[])")

    assert [bytes(line) for line in lines if isinstance(line, bytearray)] == SENT


async def test_aioimaplib_hears_of_new_mail_while_idle(reader: Desk) -> None:
    house, user = reader.house, await asyncio.to_thread(reader.house.account)
    async with by_aioimaplib(house, user) as client:
        idle = await client.idle_start(timeout=30)
        await asyncio.to_thread(house.send, "a@elsewhere.test", [user[0]], letter("for the idle"))
        told: list[bytes] = []
        while not any(b"1 EXISTS" in line for line in told):
            told += await client.wait_server_push()
        client.idle_done()
        await asyncio.wait_for(idle, 30)


def test_imapflow(reader: Desk) -> None:
    got = imapflow(reader)

    assert [one["sha256"] for one in got] == [sha256(octets).hexdigest() for octets in SENT]
    assert [one["size"] for one in got] == list(map(len, SENT))


def test_mutt(reader: Desk) -> None:
    got = kept(mutt_into_maildir(reader))

    assert sums([without(b"Content-Length|Lines|Status", one) for one in got]) == sums(
        [unix(octets) for octets in SENT]
    )


def test_alpine(reader: Desk) -> None:
    got = [
        without(b"Status|X-Status|X-Keywords|X-UID|X-IMAP|X-IMAPbase", one)
        for one in alpine(reader)
    ]

    # Between two messages of its folder stands an empty line.
    assert sums([one.rstrip(b"\n") for one in got]) == sums([unix(o).rstrip(b"\n") for o in SENT])


def test_offlineimap(reader: Desk) -> None:
    got = kept(offlineimap(reader) / "INBOX")

    assert sums(got) == sums(list(map(by_offlineimap, SENT)))


def test_isync(reader: Desk) -> None:
    got = kept(mbsync(reader) / "INBOX")

    assert sums([without(b"X-TUID", one) for one in got]) == sums(list(map(unix, SENT)))


@pytest.mark.parametrize("protocol", ["pop3", "imap"])
def test_fetchmail_leaves_mail_on_the_server(reader: Desk, protocol: str) -> None:
    got = fetchmail_keeping(reader, protocol=protocol)

    assert sums(got) == sums([unix(octets) for octets in SENT])
    if protocol == "pop3":  # by their unique ids it knows them again; by IMAP it reads the unseen
        assert len(fetchmail_keeping(reader, protocol=protocol)) == len(SENT)


@pytest.mark.parametrize("protocol", ["POP3", "IMAP"])
def test_getmail_leaves_mail_on_the_server(reader: Desk, protocol: str) -> None:
    got = getmail(reader, delete=False, protocol=protocol)

    own = b"Return-Path|X-getmail-retrieved-from-mailbox"
    assert sums(without(own, one) for one in got) == sums(map(by_getmail, SENT))
    assert len(getmail(reader, delete=False, protocol=protocol)) == len(SENT)


def test_imaplib_moves_everything_by_copy_and_expunge(desk: Desk) -> None:
    desk.house.append(desk.user, SENT[:50])
    with desk.house.imap(desk.user) as client:
        client.select("INBOX")
        client.copy("1:*", "Archive")
        client.store("1:*", "+FLAGS", r"(\Deleted)")
        assert len(client.expunge()[1]) == 50

    assert desk.house.messages(desk.user, "Archive") == SENT[:50]
    assert desk.house.messages(desk.user) == []
