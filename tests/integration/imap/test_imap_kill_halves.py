"""kill -9 of a gateway in mid-MULTIAPPEND, REPLACE and MOVE between accounts: all or nothing.

Held halfway by a table that the test locks, and at the answer of another session under load.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from posthouse.storage.directory.shared_trees import add_shared_tree
from posthouse.storage.pool import Pool, transaction
from posthouse.storage.sharing import find_owner
from support.imap import LETTER, User, add_reader, check_sums
from support.postmaster import until
from support.processes import Service, free_port

pytestmark = pytest.mark.integration

ANNA, SALES = "anna@example.test", "sales@example.test"
MOVED = 20
TOGETHER = 3
_CUT_OFF = (ConnectionError, AssertionError, EOFError)
_HELD = """
    select count(*) from pg_stat_activity
     where datname = current_database() and wait_event_type = 'Lock'
"""
_BUSY = """
    select count(*) from pg_stat_activity
     where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle'
"""

# Where a command is held: when new contents come, its mailbox's counters have moved, and REPLACE has
# removed the old message; when a copy is marked as read it is whole, and its source is gone.
_HOLD_CONTENTS = "lock table contents in share mode"
_HOLD_MARKS = "lock table seen in share mode"


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


async def log_in(service: Service) -> User:
    port = int(service.settings["POSTHOUSE_IMAP_PORT"])
    user = User(*await asyncio.open_connection("127.0.0.1", port))
    await user.login()
    return user


async def held_there(user: User, mailbox: str) -> list[bytes]:
    """Return UIDs, flags that last, and octets of all messages."""
    await user.say(f"EXAMINE {mailbox}")
    found = (await user.say("UID FETCH 1:* (FLAGS BODY.PEEK[])"))[:-1]
    return [one.replace(rb" \Recent", b"") for one in found]  # no two sessions have that


def literal(text: str) -> bytes:
    octets = f"Subject: {text}\r\n\r\n{text}\r\n".encode()
    return b" {%d+}\r\n%b" % (len(octets), octets)


async def sales_account(pool: Pool) -> int:
    await add_shared_tree(pool, SALES, [ANNA], "lrswipkxtea")
    sales = await find_owner(pool, SALES)
    assert sales is not None
    return sales.account


async def settled(pool: Pool) -> None:
    """Wait until PostgreSQL has ended, or taken back, what it did for a process that is dead."""
    await until(lambda: _is_none(pool, _BUSY), "PostgreSQL still works for the dead gateway")


async def _is_none(pool: Pool, query: str) -> bool:
    return not await pool.fetchval(query)


async def test_what_is_held_halfway_and_killed_has_not_happened_at_all(
    pool: Pool, service: Service
) -> None:
    account, sales = await add_reader(pool), await sales_account(pool)
    await service.start()
    user = await log_in(service)
    for _ in range(2):
        await user.append("INBOX", LETTER, r"(\Seen) ")
    await user.append("shared/sales", LETTER, r"(\Seen) ")
    for hold, command, change in (
        (_HOLD_CONTENTS, b"APPEND INBOX" + b"".join(map(literal, "abc")), +3),
        (_HOLD_CONTENTS, b"REPLACE 2 INBOX" + literal("new"), 0),
        (_HOLD_MARKS, b"MOVE 1:2 shared/sales", -2),
        (_HOLD_MARKS, rb"APPEND shared/sales (\Seen)" + literal("given"), 0),
    ):
        before = [await held_there(user, name) for name in ("shared/sales", "INBOX")]
        await user.say("SELECT INBOX")
        async with transaction(pool) as holder:
            await holder.execute(hold)
            await user.send(b"x " + command + b"\r\n")
            await until(lambda: pool.fetchval(_HELD), "the command was not held")
            await service.kill()
        user.close()
        await settled(pool)

        await service.start()
        user = await log_in(service)
        assert [await held_there(user, name) for name in ("shared/sales", "INBOX")] == before
        await user.say("SELECT INBOX")
        assert (await user.say(command))[-1].startswith(b"OK")
        assert len(await held_there(user, "INBOX")) == len(before[1]) + change
        for one in (account, sales):
            await check_sums(pool, one)
    read = await held_there(user, "shared/sales")
    was_read = [rb"\Seen" in message for message in read]
    assert was_read == [True, True, False, True]  # as before, and as was asked
    user.close()
    await service.kill()


class Told:
    """Counts what was answered, and says when it is enough."""

    def __init__(self, enough: int) -> None:
        self.wanted = enough
        self.together: list[int] = []
        self.replaced = 0
        self.moves = 0
        self.is_enough = asyncio.Event()

    def count(self) -> None:
        """Look whether each of the three has been answered often enough."""
        if min(len(self.together), self.replaced, self.moves) >= self.wanted:
            self.is_enough.set()


async def append_together(user: User, told: Told) -> None:
    command = b"APPEND Notes" + b"".join(literal(f"note {n}") for n in range(TOGETHER))
    while found := re.match(rb"OK \[APPENDUID \d+ (\d+):", (await user.say(command))[-1]):
        told.together.append(int(found[1]))
        told.count()


async def replace_again(user: User, told: Told) -> None:
    await user.say("SELECT Drafts")
    while (await user.say(b"REPLACE * Drafts" + literal("draft")))[-1].startswith(b"OK"):
        told.replaced += 1
        told.count()


async def move_between(user: User, told: Told) -> None:
    while True:
        for here, there in (("INBOX", "shared/sales"), ("shared/sales", "INBOX")):
            await user.say(f"SELECT {here}")
            if (await user.say(f"MOVE 1:* {there}"))[-1].startswith(b"OK"):
                told.moves += 1
                told.count()


async def until_cut(work: Callable[[User, Told], Awaitable[None]], user: User, told: Told) -> None:
    with suppress(*_CUT_OFF):
        await work(user, told)


async def killed_under_load(service: Service, told: Told) -> None:
    works = (append_together, replace_again, move_between)
    users = [await log_in(service) for _ in works]
    async with asyncio.TaskGroup() as tasks:
        for work, user in zip(works, users, strict=True):
            tasks.create_task(until_cut(work, user, told))
        await told.is_enough.wait()
        await service.kill()
    for user in users:
        user.close()


async def test_under_load_a_killed_gateway_did_each_command_whole_or_not_at_all(
    pool: Pool, service: Service
) -> None:
    accounts = [await add_reader(pool), await sales_account(pool)]
    await service.start()
    user = await log_in(service)
    await user.say("CREATE Notes")
    await user.append("Drafts", LETTER)
    for _ in range(MOVED):
        await user.append("INBOX", LETTER, r"(\Seen) ")
    last = 1
    for enough in (2, 5):
        user.close()
        told = Told(enough)
        await killed_under_load(service, told)
        await settled(pool)

        await service.start()
        user = await log_in(service)
        notes = await held_there(user, "Notes")
        uids = [int(re.findall(rb"UID (\d+)", note)[0]) for note in notes]
        assert len(notes) % TOGETHER == 0
        assert {first + n for first in told.together for n in range(TOGETHER)} <= set(uids)
        assert uids == list(range(1, len(uids) + 1))
        assert all(b"note %d\r\n" % (n % TOGETHER) in note for n, note in enumerate(notes))
        [draft] = await held_there(user, "Drafts")
        found = re.search(rb"UID (\d+)", draft)
        assert found is not None
        assert int(found[1]) - last in {told.replaced, told.replaced + 1}
        last = int(found[1])
        places = [await held_there(user, name) for name in ("INBOX", "shared/sales")]
        assert sorted(map(len, places)) == [0, MOVED]
        assert all(rb"\Seen" in message for place in places for message in place)
        for account in accounts:
            await check_sums(pool, account)
    user.close()
    await service.kill()
