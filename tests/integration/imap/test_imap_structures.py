"""Structures of many messages can be a thousand times as much as the messages: they go out in portions."""

from __future__ import annotations

from pathlib import Path

import pytest

from imap_gateway.connection import Connection
from imap_gateway.memory import contents
from imap_gateway.memory.caches import OctetsCache
from posthouse.storage import contents as storage_contents
from posthouse.storage.pool import Pool
from support.imap import add_reader, gateway

pytestmark = pytest.mark.integration

PARTS = 200
MANY = (
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\n\r\n" * PARTS + b"--b--\r\n"
)
EVERYTHING = "FETCH 1:* (UID ENVELOPE BODYSTRUCTURE BODY)"


async def test_much_that_is_told_of_little_is_told_in_portions(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []

    def write(connection: Connection, octets: bytes) -> None:
        written.append(len(octets))
        plain(connection, octets)

    plain = Connection.write
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as imap:
        letters = [b"Subject: number %d\r\n" % n + MANY for n in range(12)]
        await imap.deliver(account, *letters)
        user = await imap.connect()
        await user.login()
        await user.say("SELECT INBOX")
        for _ in range(3):
            await user.say("COPY 1:* INBOX")
        whole = await user.say(EVERYTHING)
        assert len(whole) == 97
        monkeypatch.setattr(storage_contents, "LARGE_OCTETS", 100)
        monkeypatch.setattr(contents, "START_OCTETS", 3 * PARTS * 70)
        monkeypatch.setattr(Connection, "write", write)
        assert await user.say(EVERYTHING) == whole  # as it is remembered
        other = await imap.connect()
        await other.login()
        imap.house.contents._caches = dict.fromkeys(contents.CACHE_OCTETS, OctetsCache[int](0))
        await other.say("SELECT INBOX")
        assert await other.say(EVERYTHING) == whole  # as it is read
        longest = max(map(len, whole))
        assert max(written) < 6 * longest, "three and the one behind, with BODY"
