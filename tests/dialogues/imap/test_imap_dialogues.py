"""Conversations with the IMAP gateway, as they are written in the files beside this one.

Each begins connected; INBOX holds the two letters below, nobody was told of them yet. As many
users are connected as the script has numbers.
"""

from __future__ import annotations

import re
from base64 import b64encode
from pathlib import Path

import pytest

from posthouse.credentials.failures import MAX_FAILURES
from posthouse.storage.mailboxes import INBOX, find_mailbox
from posthouse.storage.pool import Pool
from posthouse.storage.quotas import manage_quotas
from support.dialogue import play
from support.imap import PASSWORD, add_reader, check_sums, gateway, play_together

pytestmark = pytest.mark.integration

HERE = Path(__file__).parent
FIRST = (
    b"Date: Mon, 7 Feb 1994 21:52:25 -0800\r\n"
    b"From: Fred Foobar <foobar@Blurdybloop.example>\r\n"
    b"Subject: afternoon meeting\r\n"
    b"To: mooch@owatagu.example\r\n"
    b"Message-Id: <B27397-0100000@Blurdybloop.example>\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n"
    b"\r\n"
    b"Hello Joe, do you think we can meet at 3:30 tomorrow?\r\n"
)
SECOND = (
    b"From: Anna <anna@example.test>\r\n"
    b"Subject: parts\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: multipart/mixed; boundary=b1\r\n"
    b"\r\n"
    b"--b1\r\n\r\nfirst part\r\n"
    b"--b1\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninner text\r\n"
    b"--b1--\r\n"
)


@pytest.mark.parametrize("script", sorted(path.name for path in HERE.glob("*.txt")))
async def test_the_conversation_goes_as_written(script: str, pool: Pool, tmp_path: Path) -> None:
    text = (HERE / script).read_text()
    account = await add_reader(pool)
    if "$loginbert" in text:
        await add_reader(pool, "bert")
    if "SETQUOTA" in text:
        await manage_quotas(pool, "anna@example.test", "example.test")
    plain = f"\0anna@example.test\0{PASSWORD}".encode()
    words = {
        "login": f'LOGIN anna@example.test "{PASSWORD}"',
        "loginbert": f'LOGIN bert@example.test "{PASSWORD}"',
        "password": PASSWORD,
        "plain": b64encode(plain).decode(),
        "user64": b64encode(b"anna@example.test").decode(),
        "password64": b64encode(PASSWORD.encode()).decode(),
        "size1": str(len(FIRST)),
        "size2": str(len(SECOND)),
        "sizes": str(len(FIRST) + len(SECOND)),
        "validity": str((await find_mailbox(pool, account, INBOX)).uidvalidity),
    }
    async with gateway(pool, tmp_path, is_plaintext_allowed="LOGINDISABLED" not in text) as imap:
        await imap.deliver(account, FIRST, SECOND)
        count = max(map(int, re.findall(r"^[CS](\d)[:!*]", text, re.MULTILINE)), default=1)
        users = [await imap.connect(tls=script.startswith("tls")) for _ in range(count)]
        if count == 1:
            await play(text, users[0].reader, users[0].writer, tls=imap.trust, **words)
        else:
            await play_together(text, users, **words)
    await check_sums(pool, account)


async def test_a_client_that_guessed_too_often_elsewhere_is_not_listened_to(
    pool: Pool, tmp_path: Path
) -> None:
    await add_reader(pool)
    async with gateway(pool, tmp_path) as imap:
        for _ in range(MAX_FAILURES):
            imap.house.failures.add("127.0.0.1")
        user = await imap.connect()
        login = f'S: * OK …\nC: a1 LOGIN anna@example.test "{PASSWORD}"\n'
        await play(login + "S: * BYE …\nS: [closes]", user.reader, user.writer)
