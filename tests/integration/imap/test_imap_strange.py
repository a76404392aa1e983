"""Messages made to be costly or to break something: each is filed, fetched in every way, searched.

Bounded time, never an exception, and the mailbox opens as ever; what SMTP would refuse (NUL, bare
line ends) comes too, for mailboxes are also filled by imports.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from posthouse.storage.pool import Pool
from support.clockwork import watched
from support.imap import LIMITS, Gateway, User, add_reader, gateway

pytestmark = pytest.mark.integration

SECONDS = 10.0  # that a command on one such message takes at most, on a busy machine
MIB = 1_048_576
ROOMY = replace(LIMITS, message_octets=50 * MIB)
_RUBBISH = random.Random(1).randbytes(300_000)  # noqa: S311 - letters, not secrets


def nested(kind: bytes, depth: int) -> bytes:
    if kind == b"message":
        return (
            b"Content-Type: message/rfc822\r\n\r\n" * depth + b"Subject: inmost\r\n\r\nHello.\r\n"
        )
    heads = [
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n)
        for n in range(depth)
    ]
    ends = [b"\r\n--b%d--\r\n" % n for n in reversed(range(depth))]
    return b"".join([*heads, b"\r\ninmost\r\n", *ends])


STRANGE = {
    "1,000 messages in messages": nested(b"message", 1000),
    "1,000 multiparts in multiparts": nested(b"multipart", 1000),
    "100,000 parts": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    + b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n" * 100_000
    + b"--b--\r\n",
    "200,000 fields": b"".join(b"X-%d: v\r\n" % n for n in range(200_000)) + b"\r\nHello.\r\n",
    "200,000 addresses": b"To: " + b"a@b.test,\r\n " * 200_000 + b"a@b.test\r\n\r\nHello.\r\n",
    "100,000 parameters": b"Content-Type: text/plain" + b"; a=b" * 100_000 + b"\r\n\r\nHello.\r\n",
    "comments in comments": b"From: " + b"(" * 100_000 + b"\r\n\r\nHello.\r\n",
    "encoded words": b"Subject: " + b"=?utf-8?q?=C3=BC?= " * 50_000 + b"\r\n\r\nHello.\r\n",
    "raw 8-bit everywhere": bytes(octet | 0x80 for octet in _RUBBISH),
    "8-bit in every field": b"Fr\xf6m: \xe4@\xf6\r\nFrom: \xff\xfe <\xe4@\xf6>\r\nSubject: \x80\r\n"
    b'Content-Type: multipart/m\xefxed; boundary="\xfc"\r\n\r\n--\xfc\r\n\xe4: \xe4\r\n\r\n\xe4\r\n--\xfc--\r\n',
    "rubbish": _RUBBISH,
    "NULs": b"Subject: a\0b\r\nFrom: \0 <\0@\0>\r\nContent-Type: \0/\0; \0=\0\r\n\r\n\0\0\r\n" * 100,
    "bare CR": b"Subject: a\rTo: b\r\r\rbody\r" * 1000,
    "bare LF": b"Subject: a\nTo: b@c.test\n\nbody\n" * 1000,
    "no line end at all": b"x" * (8 * MIB),
    "a field without end": b"Subject: " + b"x" * (8 * MIB),
    "an endless line": b"Subject: long\r\n\r\n" + b"x" * (8 * MIB),
    "empty lines": b"\r\n" * 500_000,
    "false delimiters": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--bb\r\n" * 300_000,
    "one octet": b"x",
}  # fmt: skip

FETCHES = [
    "FETCH 1 ALL",
    "FETCH 1 FULL",
    "FETCH 1 (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE)",
    "FETCH 1 BODY.PEEK[HEADER]",
    "FETCH 1 BODY.PEEK[TEXT]<0.100>",
    "FETCH 1 BODY.PEEK[HEADER.FIELDS (SUBJECT FROM X-9)]",
    "FETCH 1 BODY.PEEK[HEADER.FIELDS.NOT (SUBJECT)]",
    "FETCH 1 (BODY.PEEK[1] BODY.PEEK[1.MIME] BODY.PEEK[1.1.1.1.1] BODY.PEEK[99999])",
    "FETCH 1 (RFC822.HEADER RFC822.TEXT)",
]
SEARCHES = ["TEXT hello", "BODY hello", "SUBJECT hello", "FROM b", "HEADER X-9 v", "TO a@b.test"]


@contextmanager
def soon(what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < SECONDS, f"{what} took {time.monotonic() - began:.1f} s"


def literal(line: bytes) -> bytes:
    found = re.search(rb"\{(\d+)\}\r\n", line)
    assert found is not None, line[:200]
    return line[found.end() : found.end() + int(found[1])]


async def connect(house: Gateway) -> User:
    """Log in as a client that reads long lines, though no longer ones than imaplib does."""
    streams = await asyncio.open_connection("127.0.0.1", house.ports[0], limit=1_000_000)
    house.users.append(User(*streams))
    await house.users[-1].login()
    return house.users[-1]


async def ask(user: User, line: str) -> list[bytes]:
    with soon(line):
        told = await user.say(line)
    assert told[-1].startswith(b"OK"), (line, told[-1])
    return told


async def read_in_every_way(house: Gateway, octets: bytes) -> None:
    user = await connect(house)
    await ask(user, "SELECT INBOX")

    for line in FETCHES:
        assert len(await ask(user, line)) >= 2, line
    for sought in SEARCHES:
        await ask(user, f"SEARCH {sought}")
    whole = await ask(user, "FETCH 1 BODY.PEEK[]")
    size = await ask(user, "FETCH 1 RFC822.SIZE")

    assert literal(whole[0]) == octets
    assert b"RFC822.SIZE %d)" % len(octets) in size[0]
    await ask(await connect(house), "SELECT INBOX")


@pytest.mark.parametrize("what", STRANGE)
async def test_a_strange_message_is_read_like_any_other(
    pool: Pool, tmp_path: Path, what: str
) -> None:
    octets = STRANGE[what]
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as house:
        with soon("delivery"):
            await house.deliver(account, octets)
        async with watched(what):
            await read_in_every_way(house, octets)


@pytest.mark.parametrize("what", [name for name in STRANGE if b"\0" not in STRANGE[name]])
async def test_a_strange_message_is_appended(pool: Pool, tmp_path: Path, what: str) -> None:
    octets = STRANGE[what]
    await add_reader(pool)
    async with gateway(pool, tmp_path, limits=ROOMY) as house, watched(what):
        user = await connect(house)
        with soon("APPEND"):
            assert (await user.append("INBOX", octets)).startswith(b"OK [APPENDUID ")
        await ask(user, "SELECT INBOX")
        assert literal((await ask(user, "FETCH 1 BODY.PEEK[]"))[0]) == octets
