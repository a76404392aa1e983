"""kill -9 in the middle of APPEND, MOVE and EXPUNGE: all or nothing, UIDs only rise.

Of the gateway as a real process, and of PostgreSQL under a gateway that goes on.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from onemachine.children import Registry
from onemachine.ports import free_ports
from onemachine.postgres import Postgres, reachable_home
from posthouse.storage.migrate import migrate
from posthouse.storage.pool import Pool, open_pool
from support.imap import LETTER, PASSWORD, Gateway, User, add_reader, check_sums, gateway
from support.processes import Service, free_port

pytestmark = pytest.mark.integration

WRITERS = 3
JUNK = 2000  # messages that are expunged meanwhile

_LOGIN = f'LOGIN anna@example.test "{PASSWORD}"'
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


async def expunge_until_cut(user: User) -> None:
    """Remove ten messages at once, the first ten that are there, again and again."""
    with suppress(*_CUT_OFF):
        await user.say("SELECT Junk")
        while True:
            await user.say(r"STORE 1:10 +FLAGS.SILENT (\Deleted)")
            await user.say("EXPUNGE")


async def killed_at_work(service: Service, port: int, seconds: float) -> list[int]:
    """Append and move for a while, kill the process; return the UIDs that were acknowledged."""
    acknowledged: list[int] = []
    users = [await log_in(port) for _ in range(WRITERS + 3)]
    mover, remover, halfway, *writers = users
    await halfway.send(b"h APPEND INBOX {%d+}\r\nSubject: cut" % len(LETTER))
    async with asyncio.TaskGroup() as tasks:
        for writer in writers:
            tasks.create_task(append_until_cut(writer, acknowledged))
        tasks.create_task(move_until_cut(mover))
        tasks.create_task(expunge_until_cut(remover))
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
    await user.say("SELECT Archive")
    for _ in range(JUNK // 50):
        await user.say("COPY 1:50 Junk")
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
        junk = await uids_of(user, "Junk")
        assert junk == list(range(JUNK - len(junk) + 1, JUNK + 1))  # the first ones went,
        assert len(junk) % 10 == 0  # ten by ten
        found = _APPENDED.match(await user.append("INBOX", LETTER))
        assert found is not None
        assert int(found[1]) > max(kept, default=0)
        acknowledged.append(int(found[1]))
        await check_sums(pool, account)
    user.close()
    await service.kill()
    assert len(acknowledged) > 3


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Postgres]:
    """A PostgreSQL of this test alone, which may be killed."""
    home = reachable_home(tmp_path / "postgres")
    postgres = Postgres(
        home=home,
        port=free_ports(1)[0],
        password=secrets.token_hex(8),
        registry=Registry(tmp_path),
    )
    await postgres.start()
    yield postgres
    await postgres.stop()
    await asyncio.to_thread(shutil.rmtree, home.parent, ignore_errors=True)


class Returning:
    """A client that comes back when it was sent away, because nobody knew what was done."""

    def __init__(self, house: Gateway, user: User) -> None:
        self._house = house
        self._user = user

    async def say(self, line: str | bytes) -> bytes:
        """Return the tagged answer, BYE if there was none."""
        try:
            return (await self._user.say(line))[-1]
        except ConnectionError:
            self._user.close()
            self._user = await self._house.connect()
            await self._user.hear()
            while not (await self._user.say(_LOGIN))[-1].startswith(b"OK"):
                pass
            return b"BYE"


async def append_through(user: Returning, uids: list[int], is_over: asyncio.Event) -> None:
    """Append until it is over; what is refused meanwhile is tried again."""
    while not is_over.is_set():
        head = f"APPEND INBOX {{{len(LETTER)}+}}\r\n".encode()
        if found := _APPENDED.match(await user.say(head + LETTER)):
            uids.append(int(found[1]))


async def move_through(user: Returning, is_over: asyncio.Event) -> None:
    while not is_over.is_set():
        for here, there in (("Archive", "Trash"), ("Trash", "Archive")):
            if (await user.say(f"SELECT {here}")).startswith(b"OK"):
                await user.say(f"MOVE 1:* {there}")


async def expunge_through(user: Returning, is_over: asyncio.Event) -> None:
    while not is_over.is_set():
        if (await user.say("SELECT Junk")).startswith(b"OK"):
            marked = await user.say(r"STORE 1:10 +FLAGS.SILENT (\Deleted)")
            if marked.startswith(b"OK"):
                await user.say("EXPUNGE")


async def prepared(house: Gateway) -> list[Returning]:
    """Log in three clients; Archive and Junk hold what they will move and remove."""
    users = [await house.connect() for _ in range(3)]
    for user in users:
        await user.login()
    for _ in range(50):
        await users[0].append("Archive", LETTER)
    await users[0].say("SELECT Archive")
    for _ in range(JUNK // 50):
        await users[0].say("COPY 1:50 Junk")
    return [Returning(house, user) for user in users]


async def check_all(house: Gateway, appended: list[int]) -> None:
    """What was acknowledged is there, and of what was not, all or nothing."""
    user = await house.connect()
    await user.login()
    kept = await uids_of(user, "INBOX")
    assert appended == sorted(set(appended))
    assert set(appended) <= set(kept)
    places = [len(await uids_of(user, name)) for name in ("Archive", "Trash")]
    assert sorted(places) == [0, 50]
    junk = await uids_of(user, "Junk")
    assert junk == list(range(JUNK - len(junk) + 1, JUNK + 1))
    assert len(junk) % 10 == 0


async def test_under_a_killed_postgresql_everything_happens_or_nothing(
    server: Postgres, tmp_path: Path
) -> None:
    await server.create_database("mail")
    await migrate(server.url("mail"))
    async with open_pool(server.url("mail")) as pool, gateway(pool, tmp_path) as house:
        account = await add_reader(pool)
        users = await prepared(house)
        uids: list[int] = []
        for milliseconds in (150, 400):
            is_over = asyncio.Event()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(append_through(users[0], uids, is_over))
                tasks.create_task(move_through(users[1], is_over))
                tasks.create_task(expunge_through(users[2], is_over))
                await asyncio.sleep(milliseconds / 1000)
                assert server.child is not None
                server.child.kill()
                await server.child.wait()
                await server.start()
                before = len(uids)
                while len(uids) < before + 5:  # noqa: ASYNC110 - they go on by themselves
                    await asyncio.sleep(0.01)
                is_over.set()
            await check_all(house, uids)
            await check_sums(pool, account)
