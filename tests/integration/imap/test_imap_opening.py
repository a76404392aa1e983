"""What SELECT tells, however many other mailboxes there are, and however large this one is (RFC 3501 §6.3.1)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from imap_gateway.memory import loading, views
from posthouse.mail.errors import Unavailable
from posthouse.storage import mailboxes, snapshots
from posthouse.storage.pool import Pool, Row
from support.imap import LETTER, Gateway, Hub, User, add_reader, gateway

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


PAGE = 3  # messages; more are a large mailbox


@pytest.fixture
async def large(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Gateway, Gateway]]:
    """Two gateways: to the first the mailbox of ten messages is new, by the second it is changed."""
    for module in (views, loading, snapshots):
        monkeypatch.setattr(module, "CHUNK_MESSAGES", PAGE)
    account, hub = await add_reader(pool), Hub()
    async with gateway(pool, tmp_path) as imap, gateway(pool, tmp_path, hub=hub) as elsewhere:
        await elsewhere.deliver(account, *[LETTER] * 10)
        yield imap, elsewhere


async def logged_in(imap: Gateway, name: str = "anna") -> User:
    user = await imap.connect()
    await user.login(name)
    return user


async def test_a_large_mailbox_is_opened_before_it_is_read(
    large: tuple[Gateway, Gateway],
) -> None:
    imap, elsewhere = large
    anna, colleague = await logged_in(imap), await logged_in(elsewhere)
    await colleague.say("SELECT INBOX")
    await colleague.say("STORE 4 +FLAGS (work)")
    await colleague.say("UNSELECT")
    told = await colleague.say("SELECT INBOX")

    assert [line for line in told if b"UNSEEN" not in line] == await anna.say("SELECT INBOX")
    assert imap.house.views.octets == 0

    await colleague.say("STORE 2,9 +FLAGS (\\Deleted)")
    await colleague.say("STORE 5 +FLAGS (\\Flagged)")
    await colleague.say("EXPUNGE")
    [account] = await imap.house.pool.fetch("select account_id from accounts")
    await elsewhere.deliver(account["account_id"], LETTER)
    assert await anna.say("FETCH 1,3:4,10 UID") == [
        b"* 1 FETCH (UID 1)",
        b"* 3 FETCH (UID 3)",
        b"* 4 FETCH (UID 4)",
        b"* 10 FETCH (UID 10)",
        b"* 5 FETCH (FLAGS (\\Flagged))",
        b"OK FETCH done",
    ]
    assert await anna.say("NOOP") == [
        b"* 9 EXPUNGE",
        b"* 2 EXPUNGE",
        b"* 9 EXISTS",
        b"* 1 RECENT",
        b"OK done",
    ]


async def test_what_is_recent_in_a_large_mailbox_is_counted_before_it_is_read(
    large: tuple[Gateway, Gateway], pool: Pool
) -> None:
    imap, elsewhere = large
    await (await logged_in(elsewhere)).say("SELECT INBOX")
    [account] = await pool.fetch("select account_id from accounts")
    await elsewhere.deliver(account["account_id"], LETTER, LETTER)
    anna = await logged_in(imap)

    assert b"* 2 RECENT" in await anna.say("SELECT INBOX")

    assert imap.house.views.octets == 0
    assert await anna.say("SEARCH RECENT") == [b"* SEARCH 11 12", b"OK SEARCH done"]


async def test_a_large_mailbox_that_was_not_read_is_closed_as_any(
    large: tuple[Gateway, Gateway],
) -> None:
    imap, elsewhere = large
    anna, colleague = await logged_in(imap), await logged_in(elsewhere)
    await colleague.say("SELECT INBOX")
    for _ in range(2):
        await colleague.say("STORE 1 +FLAGS (\\Deleted)")
        await anna.say("SELECT INBOX")
        assert await anna.say("CLOSE") == [b"OK closed"]
        assert (await colleague.say("NOOP"))[0] == b"* 1 EXPUNGE"


async def test_a_large_mailbox_is_read_first_where_the_answer_needs_its_messages(
    large: tuple[Gateway, Gateway],
) -> None:
    imap, elsewhere = large
    anna, colleague = await logged_in(imap), await logged_in(elsewhere)
    await colleague.say("SELECT INBOX")
    await colleague.say("STORE 3 +FLAGS (\\Seen)")
    await anna.say("ENABLE QRESYNC")
    [validity] = [line for line in await anna.say("EXAMINE INBOX") if b"UIDVALIDITY" in line]
    number = validity.split(b"UIDVALIDITY ")[1].split(b"]")[0].decode()
    await anna.say("UNSELECT")
    assert imap.house.views.octets == 0

    told = await anna.say(f"SELECT INBOX (QRESYNC ({number} 11))")

    assert imap.house.views.octets > 0
    assert next(line for line in told if b"FETCH" in line).startswith(b"* 3 FETCH (UID 3 FLAGS")


async def test_an_outage_behind_select_is_told_to_the_next_command_and_ends_nothing(
    large: tuple[Gateway, Gateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    imap, _ = large
    anna = await logged_in(imap)
    await anna.say("SELECT INBOX")

    async def away(*_: object) -> snapshots.Page:
        raise Unavailable("storage is not available")

    with monkeypatch.context() as outage:
        outage.setattr(loading, "load_page", away)
        assert (await anna.say("FETCH 1 UID"))[0].startswith(b"NO [UNAVAILABLE]")

    assert (await anna.say("FETCH 1 UID"))[0] == b"* 1 FETCH (UID 1)"
