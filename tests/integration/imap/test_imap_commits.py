"""PostgreSQL fails after a commit, or before its answer is here: nobody hears NO for what was done."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from posthouse.mail.errors import AnswerLost, Unavailable
from posthouse.storage.mailboxes import find_mailbox
from posthouse.storage.messages import FlagChange, Mode, store_flags
from posthouse.storage.pool import Pool, Row, Tx
from posthouse.storage.quotas import manage_quotas
from support.imap import LETTER, Gateway, User, add_reader, check_sums, gateway

pytestmark = pytest.mark.integration

T = TypeVar("T")

_COMMITS = (
    "append_messages",
    "append_one",
    "copy_messages",
    "store_flags",
    "expunge_messages",
    "for update",
    "insert into mailboxes",
    "delete from mailboxes",
    "update mailboxes set",
    "update accounts set quota",
)
_LITERAL = f"{{{len(LETTER)}+}}\r\n".encode() + LETTER
COMMANDS = (
    b"APPEND Here " + _LITERAL,
    b"APPEND Here " + _LITERAL + b" " + _LITERAL,
    b"COPY 1:2 Here",
    b"COPY 1:2 There",
    b"MOVE 1:2 There",
    b"STORE 1:2 +FLAGS (\\Answered)",
    b"STORE 1:2 +FLAGS.SILENT (\\Answered)",
    b"STORE 1:2 FLAGS (\\Seen)",
    b"EXPUNGE",
    b"UID EXPUNGE 3",
    b"REPLACE 1 Here " + _LITERAL,
    b"REPLACE 1 There " + _LITERAL,
)


CHANGES = (  # of mailboxes as a whole
    b"CREATE Where",
    b"DELETE There",
    b"RENAME There Where",
    b"RENAME INBOX Where",
    b"SUBSCRIBE There",
    b"UNSUBSCRIBE There",
    b"SETACL There bert lr",
    b"DELETEACL There bert",
    b'SETQUOTA "user:anna@example.test" (STORAGE 1000)',
)


class Failing(Pool):
    """A pool that fails at the next change of messages, once.

    Attributes:
        before: Done before that change.
        is_armed: It is the next one.
        is_away: It failed, and does not come back.
        loses_answer: The change is made, and its answer lost; else what comes after it fails.
    """

    __slots__ = ("_has_changed", "before", "is_armed", "is_away", "loses_answer")

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool._connections)
        self.before: Callable[[], Awaitable[object]] | None = None
        self.is_armed = self.is_away = self._has_changed = self.loses_answer = False

    async def noticed(self, sql: str) -> None:
        """A statement comes."""
        if self.is_armed and any(name in sql for name in _COMMITS):
            self.is_armed, self._has_changed = False, True
            if self.before is not None:
                await self.before()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Tx]:
        if self.is_away:
            raise Unavailable("storage is not available")
        async with super().session() as session:
            yield Watched(session, self)
        self._go_away()

    async def _ask(
        self, how: Callable[..., Awaitable[T]], sql: str, arguments: Sequence[object]
    ) -> T:
        if self.is_away:
            raise Unavailable("storage is not available")
        await self.noticed(sql)
        answer = await super()._ask(how, sql, arguments)
        self._go_away()
        return answer

    def _go_away(self) -> None:
        if self._has_changed:
            self._has_changed, self.is_away = False, True
            if self.loses_answer:
                raise AnswerLost("storage is not available")


class Watched(Tx):
    __slots__ = ("_pool",)

    def __init__(self, tx: Tx, pool: Failing) -> None:
        super().__init__(tx.connection)
        self._pool = pool

    async def fetch(self, sql: str, *arguments: object) -> list[Row]:
        await self._pool.noticed(sql)
        return await super().fetch(sql, *arguments)

    async def fetchrow(self, sql: str, *arguments: object) -> Row | None:
        await self._pool.noticed(sql)
        return await super().fetchrow(sql, *arguments)

    async def fetchval(self, sql: str, *arguments: object) -> object:
        await self._pool.noticed(sql)
        return await super().fetchval(sql, *arguments)

    async def execute(self, sql: str, *arguments: object) -> int:
        await self._pool.noticed(sql)
        return await super().execute(sql, *arguments)


async def _opened(house: Gateway) -> User:
    r"""Return a session of a mailbox with four messages, the third ``\Deleted``."""
    user = await house.connect()
    await user.login()
    for name in (b"Here", b"There"):
        await user.say(b"DELETE " + name)
        await user.say(b"CREATE " + name)
    await user.say(b"APPEND Here" + b" ".join([b"", *[_LITERAL] * 4]))
    await user.say("SELECT Here")
    await user.say("STORE 3 +FLAGS.SILENT (\\Deleted)")
    return user


async def test_what_was_done_is_answered_with_ok_and_told_when_it_can_be(
    pool: Pool, tmp_path: Path
) -> None:
    account = await add_reader(pool)
    failing = Failing(pool)

    async def change() -> None:  # another process, so that the news must be read
        here = await find_mailbox(pool, account, "Here")
        await store_flags(pool, account, here.id, [4], FlagChange(mode=Mode.ADD, flags=16))

    async with gateway(failing, tmp_path) as house:
        for command in COMMANDS:
            user, other = await _opened(house), await house.connect()
            await other.login()
            await other.say("SELECT Here")
            failing.is_armed, failing.before = True, change
            heard = await user.say(command)
            assert failing.is_away, command
            assert heard[-1].startswith(b"OK"), (command, heard)
            failing.is_away = False
            seen = []
            for one in (user, other):
                await one.say("NOOP")
                seen.append(await one.say("FETCH 1:* (UID FLAGS)"))
            mine, theirs = [[re.sub(rb" ?\\Recent", b"", line) for line in told] for told in seen]
            assert mine == theirs, command
    await check_sums(pool, account)


async def test_who_cannot_know_what_was_done_is_told_to_look(pool: Pool, tmp_path: Path) -> None:
    await add_reader(pool)
    await add_reader(pool, "bert")
    await manage_quotas(pool, "anna@example.test", "example.test")
    failing = Failing(pool)
    async with gateway(failing, tmp_path) as house:
        for command in (*COMMANDS, *CHANGES):
            user = await _opened(house)
            failing.is_armed = failing.loses_answer = True
            await user.send(b"t9 " + command + b"\r\n")
            while not (heard := await user.hear()).startswith((b"* BYE", b"t9")):
                pass
            assert heard.startswith(b"* BYE"), (command, heard)
            failing.is_away = failing.loses_answer = False
            await pool.execute("delete from mailboxes where name = 'Where'")
