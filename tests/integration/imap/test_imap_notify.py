"""NOTIFY where it costs too much, and where nobody may read (RFC 5465 §3.1, §5.8)."""

from __future__ import annotations

from pathlib import Path

import pytest

from imap_gateway import noticing
from imap_gateway.handlers import notifying
from posthouse.storage.pool import Pool
from support.imap import LETTER, User, add_reader, gateway

pytestmark = pytest.mark.integration

EVENTS = "MessageNew MessageExpunge"


async def watching(user: User, what: str) -> bytes:
    await user.login()
    return (await user.say(f"NOTIFY SET {what}"))[-1]


async def test_who_wants_to_hear_of_everything_is_refused(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifying, "MAX_MAILBOXES", 1)
    await add_reader(pool)
    async with gateway(pool, tmp_path) as imap:
        user = await imap.connect()
        answer = await watching(user, f"(PERSONAL ({EVENTS}))")
        assert answer.startswith(b"NO [NOTIFICATIONOVERFLOW]")


async def test_a_refusal_leaves_what_was_wanted_before_and_counts_only_what_is_of_interest(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifying, "MAX_MAILBOXES", 1)
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as imap:
        user = await imap.connect()
        assert (await watching(user, f"(MAILBOXES INBOX ({EVENTS}))")).startswith(b"OK")
        answer = await user.say(f"NOTIFY SET (PERSONAL ({EVENTS}))")
        assert answer[-1].startswith(b"NO [NOTIFICATIONOVERFLOW]")
        await imap.deliver(account, LETTER)
        assert (await user.hear()).startswith(b"* STATUS INBOX (UIDNEXT 2 MESSAGES 1")


async def test_what_may_not_be_read_is_told_as_such_below_what_was_named_too(
    pool: Pool, tmp_path: Path
) -> None:
    await add_reader(pool)
    await add_reader(pool, "bert")
    async with gateway(pool, tmp_path) as imap:
        owner, guest = await imap.connect(), await imap.connect()
        await owner.login()
        await owner.say("CREATE Projects/One")
        await owner.say("SETACL Projects/One bert l")
        await guest.login("bert")
        heard = await guest.say(f"NOTIFY SET (SUBTREE user/anna/Projects ({EVENTS}))")
        assert heard[0] == b'* LIST (\\NoAccess) "/" user/anna/Projects/One'
        assert heard[-1].startswith(b"OK")


async def test_too_many_notices_end_notices(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifying, "MAX_LINES", 0)
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as imap:
        user = await imap.connect()
        assert (await watching(user, f"(PERSONAL ({EVENTS}))")).startswith(b"OK")
        await imap.deliver(account, LETTER)
        assert (await user.hear()).startswith(b"* OK [NOTIFICATIONOVERFLOW]")
        await imap.deliver(account, LETTER)
        assert await user.say("NOOP") == [b"OK done"]


async def test_what_may_be_seen_but_not_read_is_told_as_such(pool: Pool, tmp_path: Path) -> None:
    bert = await add_reader(pool, "bert")
    await add_reader(pool)
    async with gateway(pool, tmp_path) as imap:
        owner, guest = await imap.connect(), await imap.connect()
        await owner.login("bert")
        await owner.say("SETACL INBOX anna@example.test l")
        await guest.login()
        name = "user/bert@example.test/INBOX"
        names = [line for line in await guest.say('LIST "" "*"') if b"bert" in line]
        name = names[0].split(b' "/" ')[1].decode()
        heard = await guest.say(f"NOTIFY SET (MAILBOXES {name} ({EVENTS}))")
        assert heard[0] == f'* LIST (\\NoAccess) "/" {name}'.encode()
        await owner.say("SETACL INBOX anna@example.test lr")
        await imap.deliver(bert, LETTER)
        assert (await guest.hear()).startswith(f"* STATUS {name} (UIDNEXT 2 MESSAGES 1".encode())


async def test_a_guest_is_told_what_it_has_not_read_itself(pool: Pool, tmp_path: Path) -> None:
    anna = await add_reader(pool)
    await add_reader(pool, "bert")
    async with gateway(pool, tmp_path) as imap:
        await imap.deliver(anna, LETTER, LETTER, LETTER)
        owner, guest = await imap.connect(), await imap.connect()
        await owner.login()
        await owner.say("SETACL INBOX bert lrs")
        await owner.say("SELECT INBOX")
        await owner.say("STORE 1:2 +FLAGS.SILENT (\\Seen)")
        await guest.login("bert")
        answers = await guest.say(f"NOTIFY SET (MAILBOXES user/anna ({EVENTS} FlagChange))")
        assert answers[-1].startswith(b"OK")
        await owner.say("STORE 3 +FLAGS.SILENT (\\Flagged)")
        assert (await guest.hear()).startswith(b"* STATUS user/anna (UNSEEN 3 ")


async def test_metadata_are_told_to_those_who_may_read_them(pool: Pool, tmp_path: Path) -> None:
    await add_reader(pool)
    await add_reader(pool, "bert")
    async with gateway(pool, tmp_path) as imap:
        owner, guest = await imap.connect(), await imap.connect()
        await owner.login()
        await owner.say("SETACL INBOX bert l")
        await owner.say('SETMETADATA INBOX (/shared/comment "secret")')
        await guest.login("bert")
        wish = 'LIST "" "user/%" RETURN (METADATA (/shared/comment))'
        assert (await guest.say("GETMETADATA user/anna /shared/comment"))[0].startswith(b"NO ")
        assert b"METADATA" not in b"".join(await guest.say(wish))
        events = "MessageNew MessageExpunge MailboxMetadataChange"
        assert (await guest.say(f"NOTIFY SET (MAILBOXES user/anna ({events}))"))[-1][:2] == b"OK"
        await owner.say('SETMETADATA INBOX (/shared/comment "more")')
        assert await guest.say("NOOP") == [b"OK done"]
        await owner.say("SETACL INBOX bert lr")
        await owner.say('SETMETADATA INBOX (/shared/comment "told")')
        assert await guest.hear() == b"* METADATA user/anna /shared/comment"
        assert b'* METADATA user/anna (/shared/comment "told")' in await guest.say(wish)


async def test_who_watches_in_a_storm_looks_now_and_then(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as imap:
        user = await imap.connect()
        assert (await watching(user, f"(PERSONAL ({EVENTS}))")).startswith(b"OK")
        monkeypatch.setattr(noticing, "REST", 20)  # times a look: a tenth of a second or so
        await imap.deliver(account, LETTER)
        assert b" MESSAGES 1 " in await user.hear()
        await imap.deliver(account, LETTER)
        assert b" MESSAGES 2 " in await user.hear()  # after a rest

        monkeypatch.setattr(noticing, "REST", 1e9)
        await imap.deliver(account, LETTER)
        assert b" MESSAGES 3 " in await user.hear()
        await imap.deliver(account, LETTER)
        assert await user.say("NOOP") == [b"OK done"]
