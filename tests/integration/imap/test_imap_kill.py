"""kill -9 of the real process in the middle of APPEND and MOVE: all or nothing, UIDs only rise."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from pathlib import Path

import pytest

from posthouse.storage.pool import Pool
from support.imap import LETTER, User, add_reader, check_sums
from support.processes import Service, free_port

pytestmark = pytest.mark.integration

WRITERS = 3

_APPENDED = re.compile(rb"OK \[APPENDUID \d+ (\d+)\]")
_CUT_OFF = (ConnectionError, AssertionError, EOFError)


async def log_in(port: int) -> User:
    user = User(*await asyncio.open_connection("127.0.0.1", port))
    await user.login()
    return user


async def uids_of(user: User, mailbox: str) -> list[int]:
    await user.say(f"SELECT {mailbox}")
    found, _ = await user.say("UID SEARCH ALL")
    return [int(number) for number in found.split()[2:]]


async def append_until_cut(user: User, uids: list[int]) -> None:
    with suppress(*_CUT_OFF):
        while found := _APPENDED.match(await user.append("INBOX", LETTER)):
            uids.append(int(found[1]))


async def move_until_cut(user: User) -> None:
    with suppress(*_CUT_OFF):
        while True:
            for here, there in (("Archive", "Trash"), ("Trash", "Archive")):
                await user.say(f"SELECT {here}")
                await user.say(f"MOVE 1:* {there}")


async def killed_at_work(service: Service, port: int, seconds: float) -> list[int]:
    """Append and move for a while, kill the process; return the UIDs that were acknowledged."""
    acknowledged: list[int] = []
    users = [await log_in(port) for _ in range(WRITERS + 2)]
    mover, halfway, *writers = users
    await halfway.send(b"h APPEND INBOX {%d+}\r\nSubject: cut" % len(LETTER))
    async with asyncio.TaskGroup() as tasks:
        for writer in writers:
            tasks.create_task(append_until_cut(writer, acknowledged))
        tasks.create_task(move_until_cut(mover))
        await asyncio.sleep(seconds)
        await service.kill()
    for one in users:
        one.close()
    return acknowledged


@pytest.fixture
def service(postgres_url: str, broker_url: str, tmp_path: Path) -> Service:
    settings = {
        "POSTHOUSE_DATABASE_URL": postgres_url,
        "POSTHOUSE_BROKER_URL": broker_url,
        "POSTHOUSE_STORE": f"disk:{tmp_path}/objects",
        "POSTHOUSE_HOSTNAME": "mail.example.test",
        "POSTHOUSE_IMAP_PORT": str(free_port()),
        "POSTHOUSE_IMAPS_PORT": "0",
        "POSTHOUSE_IMAP_PLAINTEXT_LOGIN": "true",
    }
    return Service("imap_gateway", settings, tmp_path / "log")


async def test_a_killed_gateway_appended_and_moved_all_or_nothing(
    pool: Pool, service: Service
) -> None:
    account = await add_reader(pool)
    port = int(service.settings["POSTHOUSE_IMAP_PORT"])
    await service.start()
    user = await log_in(port)
    for _ in range(50):
        await user.append("Archive", LETTER)
    acknowledged: list[int] = []
    for milliseconds in (120, 190, 310):
        user.close()
        acknowledged += await killed_at_work(service, port, milliseconds / 1000)

        await service.start()
        user = await log_in(port)

        kept = await uids_of(user, "INBOX")
        assert set(acknowledged) <= set(kept)
        assert len(kept) - len(acknowledged) <= 3 * WRITERS  # what was not heard any more
        bodies = await user.say("FETCH 1:* BODY.PEEK[]")
        assert all(LETTER in body for body in bodies[:-1])
        places = [len(await uids_of(user, name)) for name in ("Archive", "Trash")]
        assert sorted(places) == [0, 50]
        found = _APPENDED.match(await user.append("INBOX", LETTER))
        assert found is not None
        assert int(found[1]) > max(kept, default=0)
        acknowledged.append(int(found[1]))
        await check_sums(pool, account)
    user.close()
    await service.kill()
    assert len(acknowledged) > 3
