"""What SELECT tells of a mailbox's name costs the same however many others there are (RFC 9051 §6.3.2)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from posthouse.storage import mailboxes
from posthouse.storage.pool import Pool, Row
from support.imap import User, add_reader, gateway

pytestmark = pytest.mark.integration


class Noted(Pool):
    """A pool that notes what is asked."""

    __slots__ = ("asked",)

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool._connections)
        self.asked: list[str] = []

    async def fetch(self, sql: str, *arguments: object) -> list[Row]:
        self.asked.append(sql)
        return await super().fetch(sql, *arguments)


async def listed(user: User, command: str) -> list[bytes]:
    return [line for line in await user.say(command) if line.startswith(b"* LIST ")]


async def test_select_lists_one_name_as_list_does(pool: Pool, tmp_path: Path) -> None:
    await add_reader(pool)
    await add_reader(pool, "bert")
    noted = Noted(pool)
    async with gateway(pool, tmp_path) as imap:
        imap.listener.house = replace(imap.house, pool=noted)
        anna, bert = await imap.connect(), await imap.connect()
        for user, name in ((anna, "anna"), (bert, "bert")):
            await user.login(name)
            await user.say("ENABLE IMAP4REV2")
        for line in ("CREATE Work/One", "CREATE Work", "CREATE Workshop", "SUBSCRIBE Work/One"):
            assert (await anna.say(line))[-1].startswith(b"OK")
        await anna.say("SETACL Work bert lr")

        for name in ("Work", "Work/One", "Workshop", "INBOX", "Drafts"):
            told = await listed(anna, f'LIST "" {name} RETURN (SUBSCRIBED SPECIAL-USE)')
            noted.asked.clear()
            assert await listed(anna, f"SELECT {name}") == told
            assert mailboxes._LIST not in noted.asked
        expected = b'* LIST (\\HasNoChildren) "/" user/anna/Work'  # what lies below may not be seen
        assert await listed(bert, "SELECT user/anna/Work") == [expected]
