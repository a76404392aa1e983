"""Large messages: however many come at once, they are on disk and not in memory."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from posthouse.blobs import open_blobs
from posthouse.mail.ids import object_key
from posthouse.storage.pool import Pool
from support.dialogue import play
from support.place import Place, Process
from support.servers import S3Store

pytestmark = pytest.mark.integration

MIB = 1024 * 1024
SESSIONS = 40
HEAD = b"Subject: large\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n"
LINES = b"".join(b"line %065d\r\n" % n for n in range(MIB // 72))
END = b"--b--\r\n"
TO_DATA = (
    "S: 220 …\nC: EHLO b.test\nS* 250 …\nC: MAIL FROM:<eve@far.test>\nS: 250 …\n"
    "C: RCPT TO:<anna@example.test>\nS: 250 …\nC: DATA\nS: 354 …"
)


def letter(mebibytes: int) -> bytes:
    return HEAD + LINES * mebibytes + END


async def send(port: int, mebibytes: int) -> bytes:
    """Send a letter in portions; return the reply."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await play(TO_DATA, reader, writer)
    for portion in (HEAD, *[LINES] * mebibytes, END, b".\r\n"):
        writer.write(portion)
        await writer.drain()
    reply = await reader.readline()
    writer.close()
    return reply


def peak_octets(process: Process) -> int:
    """Return the most memory that the process ever had."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


def left_over(store: Path) -> list[Path]:
    return list((store / ".unfinished").iterdir())


async def test_many_at_once_are_on_disk_and_not_in_memory(place: Place, pool: Pool) -> None:
    async with (
        place.running("policy_engine"),
        place.running("ingress_smtp", alone=True) as ingress,
    ):
        at_rest = peak_octets(ingress)

        replies = await asyncio.gather(*(send(place.port, 5) for _ in range(SESSIONS)))

        assert all(reply.startswith(b"250 2.0.0 Ok: queued as ") for reply in replies)
        # Each has its last octets in memory, read, inspected and on their way to the disk.
        assert peak_octets(ingress) - at_rest < SESSIONS * 2 * MIB < SESSIONS * len(letter(5)) / 2
    rows = await pool.fetch("select id, size from envelopes")
    assert len(rows) == SESSIONS
    for row in rows:
        octets = (place.store / object_key(row["id"])).read_bytes()
        assert octets.endswith(b"\r\n" + letter(5))
        assert len(octets) == row["size"]
    assert left_over(place.store) == []


async def test_a_process_that_is_killed_within_a_message_leaves_nothing(
    place: Place, pool: Pool
) -> None:
    async with place.running("policy_engine"), place.running("ingress_smtp") as ingress:
        reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
        await play(TO_DATA, reader, writer)
        writer.write(HEAD + LINES * 2)
        await writer.drain()
        ingress.send_signal(signal.SIGKILL)
        with suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()

    assert left_over(place.store) == []
    assert list(place.store.rglob("*.eml")) == []
    assert not await pool.fetch("select id from envelopes")


async def test_a_large_message_goes_to_s3_whole(
    place: Place, pool: Pool, s3_store: S3Store
) -> None:
    told = {"STORE": s3_store.store, "STORE_ACCESS_KEY": s3_store.access_key,
            "STORE_SECRET_KEY": s3_store.secret_key}  # fmt: skip
    env = place.env | {f"POSTHOUSE_{name}": value for name, value in told.items()}
    place = replace(place, env=env)
    async with place.running("policy_engine"), place.running("ingress_smtp"):
        assert (await send(place.port, 12)).startswith(b"250 2.0.0 Ok: queued as ")

    [row] = await pool.fetch("select id, size from envelopes")
    async with open_blobs(s3_store.store, s3_store.access_key, s3_store.secret_key) as blobs:
        octets = await blobs.get(object_key(row["id"]))
    assert octets.endswith(b"\r\n" + letter(12))
    assert len(octets) == row["size"]
