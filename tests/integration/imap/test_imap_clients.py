"""Real clients against the gateway: Python's imaplib, and Debian's isync."""

from __future__ import annotations

import asyncio
import imaplib
import mailbox
import os
import subprocess
from pathlib import Path

import pytest

from posthouse.storage.pool import Pool
from support.imap import PASSWORD, Gateway, add_reader, gateway

pytestmark = pytest.mark.integration

LETTERS = tuple(
    b"From: bert@example.test\r\nSubject: letter %d\r\nMessage-ID: <%d@example.test>\r\n\r\nText %d\r\n"
    % (n, n, n)
    for n in range(5)
)


async def test_imaplib_does_everything_it_can(pool: Pool, tmp_path: Path) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as imap:
        await imap.deliver(account, *LETTERS)

        await asyncio.to_thread(_with_imaplib, imap)


def _with_imaplib(imap: Gateway) -> None:
    with imaplib.IMAP4("127.0.0.1", imap.ports[0]) as client:
        client.starttls(imap.trust)
        client.authenticate("PLAIN", lambda _: f"\0anna@example.test\0{PASSWORD}".encode())
        assert client.select() == ("OK", [b"5"])
        assert client.search(None, "SUBJECT", '"letter 3"') == ("OK", [b"4"])
        answer, data = client.fetch("1:*", "(UID BODY.PEEK[])")
        assert answer == "OK"
        assert [part[1] for part in data if isinstance(part, tuple)] == list(LETTERS)
        assert client.create("Entw&APw-rfe")[0] == "OK"
        assert client.copy("1:2", "Entw&APw-rfe")[0] == "OK"
        assert client.store("1", "+FLAGS", "(\\Deleted)")[0] == "OK"
        assert client.expunge() == ("OK", [b"1"])
        assert client.append("INBOX", "(\\Draft)", None, LETTERS[0])[0] == "OK"
        assert client.status("INBOX", "(MESSAGES UIDNEXT)")[1] == [b"INBOX (MESSAGES 5 UIDNEXT 7)"]
        assert client.close()[0] == "OK"
        assert client.delete("Entw&APw-rfe")[0] == "OK"
        assert client.logout()[0] == "BYE"


async def test_isync_goes_both_ways(pool: Pool, tmp_path: Path) -> None:
    account = await add_reader(pool)
    (tmp_path / "box").mkdir()
    rc = tmp_path / "mbsyncrc"
    async with gateway(pool, tmp_path) as imap:
        await imap.deliver(account, *LETTERS)
        rc.write_text(
            f"IMAPStore far\nHost 127.0.0.1\nPort {imap.ports[0]}\nUser anna@example.test\n"
            f'Pass "{PASSWORD}"\nSSLType None\nAuthMechs LOGIN\n\n'
            f"MaildirStore near\nPath {tmp_path}/box/\nInbox {tmp_path}/box/INBOX\n"
            "SubFolders Verbatim\n\nChannel all\nFar :far:\nNear :near:\nPatterns *\n"
            "Create Both\nExpunge Both\nSyncState *\n"
        )
        rc.chmod(0o600)
        await _run(tmp_path, "mbsync", "-c", str(rc), "all")
        here = mailbox.Maildir(tmp_path / "box" / "INBOX", create=False)
        assert sorted(map(_without_mark, here)) == [
            letter.replace(b"\r\n", b"\n") for letter in LETTERS
        ]

        gone = next(key for key, letter in here.items() if "Text 2" in letter.as_string())
        here.discard(gone)
        here.add(b"From: anna@example.test\nSubject: new\n\nWritten here\n")
        here.close()
        await _run(tmp_path, "mbsync", "-c", str(rc), "all")

        user = await imap.connect()
        await user.login()
        await user.say("SELECT INBOX")
        assert await user.say('SEARCH TEXT "Text 2"') == [b"* SEARCH", b"OK SEARCH done"]
        assert await user.say('SEARCH BODY "Written here"') == [b"* SEARCH 5", b"OK SEARCH done"]


def _without_mark(letter: mailbox.MaildirMessage) -> bytes:
    """Return a letter without the field that isync adds to what it fetches."""
    del letter["X-TUID"]
    return letter.as_bytes()


async def _run(home: Path, *argv: str) -> None:
    """Run a program to its end; a status other than 0 fails the test with its words."""
    done = await asyncio.to_thread(
        subprocess.run,
        argv,
        env={"PATH": os.environ["PATH"], "HOME": str(home)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode(errors="replace")
