"""Messages of 100 MiB, in and out, by a whole service: its memory stays what it was."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from onemachine.services import inherited_environment
from posthouse.storage.pool import Pool
from support.imap import User, add_reader

pytestmark = pytest.mark.integration

MIB = 1024 * 1024
HEAD = (
    b"Subject: large\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\n\r\ntext\r\n--b\r\nContent-Type: application/x\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\n"
)
TAIL = b"\r\n--b--\r\n"
BLOCK = base64.encodebytes(os.urandom(57 * 4096)).replace(b"\n", b"\r\n")  # 312 KiB
BLOCKS = 100 * MIB // len(BLOCK)
SIZE = len(HEAD) + BLOCKS * len(BLOCK) + len(TAIL)
GROWTH = 16 * MIB  # of the whole process, also with what Python keeps for itself


@asynccontextmanager
async def service(environment: dict[str, str]) -> AsyncIterator[tuple[int, int]]:
    """Start the gateway; yield its port and process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "imap_gateway", stdout=asyncio.subprocess.DEVNULL,
        env={**environment, "POSTHOUSE_IMAP_PORT": str(port)},
    )  # fmt: skip
    try:
        yield port, process.pid
    finally:
        process.terminate()
        await process.wait()


async def connected(port: int) -> User:
    async with asyncio.timeout(30):
        while True:
            try:
                user = User(*await asyncio.open_connection("127.0.0.1", port))
            except OSError:
                await asyncio.sleep(0.05)
                continue
            await user.login()
            return user


async def closed(user: User) -> None:
    user.close()
    await user.writer.wait_closed()


def forget_highest(pid: int) -> None:
    """Let `highest` begin anew: a password's hash takes 64 MiB for a moment (see proc(5))."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def highest(pid: int) -> int:
    """Return the most memory that the process had since `forget_highest`, in octets."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def message() -> Iterator[bytes]:
    yield HEAD
    for _ in range(BLOCKS):
        yield BLOCK
    yield TAIL


async def take(user: User, size: int) -> None:
    """Read so many octets and keep none."""
    while size:
        octets = await user.reader.read(min(size, MIB))
        assert octets
        size -= len(octets)


@pytest.fixture
async def running(
    pool: Pool, postgres_url: str, broker_url: str, tmp_path: Path
) -> AsyncIterator[tuple[int, int]]:
    """A gateway, and a user with one message in INBOX: all code is loaded."""
    await add_reader(pool)
    environment = {
        **inherited_environment(),
        "POSTHOUSE_DATABASE_URL": postgres_url,
        "POSTHOUSE_BROKER_URL": broker_url,
        "POSTHOUSE_STORE": f"disk:{tmp_path}/objects",
        "POSTHOUSE_HOSTNAME": "mail.example.test",
        "POSTHOUSE_IMAPS_PORT": "0",
        "POSTHOUSE_IMAP_PLAINTEXT_LOGIN": "true",
        "POSTHOUSE_MESSAGE_OCTETS_MAX": str(110 * MIB),
    }
    async with service(environment) as (port, pid):
        yield port, pid


async def at_home(port: int) -> User:
    """Return a user who has selected INBOX, with a first message that was read in all ways."""
    user = await connected(port)
    await user.append("INBOX", HEAD + BLOCK + TAIL)
    await user.say("SELECT INBOX")
    await user.say("FETCH 1 (BODY.PEEK[] BINARY.PEEK[2] BODYSTRUCTURE)")
    return user


async def send_large(user: User, plus: str) -> None:
    await user.send(f"a APPEND INBOX {{{SIZE}{plus}}}\r\n".encode())
    if not plus:
        assert (await user.hear()).startswith(b"+ ")
    for part in message():
        await user.send(part)
    await user.send(b"\r\n")
    while not (said := await user.hear()).startswith(b"a "):
        pass
    assert said.startswith(b"a OK [APPENDUID ")


@pytest.mark.parametrize("plus", ["", "+"])
async def test_a_message_of_100_mib_comes_and_goes_through_a_few(
    running: tuple[int, int], plus: str
) -> None:
    port, pid = running
    user = await at_home(port)
    forget_highest(pid)
    before = highest(pid)

    await send_large(user, plus)

    await user.send(b"b FETCH 2 BODY.PEEK[]\r\n")
    assert await user.reader.readline() == b"* 2 FETCH (BODY[] {%d}\r\n" % SIZE
    for part in message():
        assert await user.reader.readexactly(len(part)) == part
    assert await user.hear() == b")"
    assert (await user.hear()).startswith(b"b OK")

    decoded = BLOCKS * 57 * 4096
    await user.send(b"c FETCH 2 BINARY.PEEK[2]\r\n")
    assert await user.reader.readline() == b"* 2 FETCH (BINARY[2] ~{%d}\r\n" % decoded
    await take(user, decoded)
    assert await user.hear() == b")"
    assert (await user.hear()).startswith(b"c OK")

    answers = await user.say(b'UID REPLACE 2 INBOX CATENATE (URL "/INBOX/;UID=2")')
    assert answers[-1].startswith(b"OK")
    assert highest(pid) - before < GROWTH
    await closed(user)


async def test_a_large_message_that_stops_in_mid_air_leaves_nothing_behind(
    running: tuple[int, int],
) -> None:
    port, pid = running
    user, other = await at_home(port), await connected(port)
    files = open_files(pid)

    await other.send(f"x APPEND INBOX {{{SIZE}+}}\r\n".encode() + HEAD + BLOCK)
    await closed(other)

    async with asyncio.timeout(10):
        while open_files(pid) > files - 1:
            await user.say("NOOP")
    assert (await user.append("INBOX", b"Subject: last\r\n\r\n")).endswith(b"APPEND done")
    assert b"* STATUS INBOX (MESSAGES 2)" in await user.say("STATUS INBOX (MESSAGES)")
    await closed(user)
