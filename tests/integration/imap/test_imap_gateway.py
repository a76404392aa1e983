"""The gateway as a whole: news between processes, limits, outages of order, the end."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from imap_gateway.settings import ImapSettings
from posthouse.mail.errors import Unavailable
from posthouse.storage import directory
from posthouse.storage.pool import Pool
from posthouse.telemetry.metrics import exposition
from support.imap import (
    LETTER,
    LIMITS,
    PASSWORD,
    Gateway,
    Hub,
    User,
    add_reader,
    check_sums,
    gateway,
)

pytestmark = pytest.mark.integration

HUNDRED = b"".join(b"Subject: %d\r\n" % n for n in range(5)) + b"\r\n" + b"x" * 40 + b"\r\n"


def objects_missing() -> float:
    [line] = [
        line
        for line in exposition().decode().splitlines()
        if line.startswith("posthouse_imap_objects_missing_total ")
    ]
    return float(line.split()[1])


async def a_user(imap: Gateway, mailbox: str = "INBOX") -> User:
    user = await imap.connect()
    await user.login()
    opened = await user.say(f"SELECT {mailbox}")
    assert opened[-1].startswith(b"OK [READ-WRITE]")
    return user


async def test_news_come_from_another_process(pool: Pool, tmp_path: Path) -> None:
    account, hub = await add_reader(pool), Hub()
    async with (
        gateway(pool, tmp_path, hub=hub) as here,
        gateway(pool, tmp_path, hub=hub) as there,
    ):
        idler, worker = await a_user(here), await a_user(there)
        await idler.send(b"i IDLE\r\n")
        assert (await idler.hear()).startswith(b"+")

        await worker.append("INBOX", LETTER)
        assert await idler.hear() == b"* 1 EXISTS"
        assert (await idler.hear()).endswith(b" RECENT")
        await worker.say("STORE 1 +FLAGS ($Label1 \\Seen)")
        assert b"\\Seen $Label1" in await idler.hear()
        await there.deliver(account, LETTER)
        assert await idler.hear() == b"* 2 EXISTS"
        await idler.hear()
        await worker.say("NOOP")
        await worker.say("UID STORE 1:* +FLAGS.SILENT \\Deleted")
        assert [(await idler.hear())[:9], (await idler.hear())[:9]] == [b"* 1 FETCH", b"* 2 FETCH"]
        await worker.say("EXPUNGE")
        assert [await idler.hear(), await idler.hear()] == [b"* 2 EXPUNGE", b"* 1 EXPUNGE"]

        await check_sums(pool, account)


async def test_without_notices_a_command_finds_what_changed(pool: Pool, tmp_path: Path) -> None:
    await add_reader(pool)
    async with gateway(pool, tmp_path) as here, gateway(pool, tmp_path) as there:  # two hubs
        reader, writer = await a_user(here), await a_user(there)

        await writer.append("INBOX", LETTER)

        heard = await reader.say("NOOP")
        assert heard[0] == b"* 1 EXISTS"


async def test_without_notices_the_slow_timer_finds_what_changed(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imap_gateway.memory.updates.LOOK", timedelta(milliseconds=50))
    await add_reader(pool)
    async with (
        gateway(pool, tmp_path) as here,
        gateway(pool, tmp_path) as there,
        asyncio.TaskGroup() as tasks,
    ):
        looking = tasks.create_task(here.house.updates.keep_looking())
        idler, writer = await a_user(here), await a_user(there)
        await idler.send(b"i IDLE\r\n")
        await idler.hear()

        await writer.append("INBOX", LETTER)

        assert await idler.hear() == b"* 1 EXISTS"
        looking.cancel()


async def test_the_same_message_is_read_once_in_the_trace(pool: Pool, tmp_path: Path) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as imap:
        [ident] = await imap.deliver(account, LETTER)
        user = await a_user(imap)

        await user.say("FETCH 1 BODY.PEEK[]")
        assert imap.reads == []
        await user.say("FETCH 1 RFC822")
        await user.say("FETCH 1 RFC822")
        await user.say("STORE 1 +FLAGS \\Seen")

        assert imap.reads == [ident]


async def test_the_quota_is_kept_by_append_and_copy_and_not_asked_by_move(
    pool: Pool, tmp_path: Path
) -> None:
    account = await add_reader(pool, quota=2 * len(LETTER))
    async with gateway(pool, tmp_path) as imap:
        user = await a_user(imap)
        assert (await user.append("INBOX", LETTER)).startswith(b"OK")
        assert (await user.say("COPY 1 Archive"))[-1].startswith(b"OK")

        assert (await user.append("INBOX", LETTER)).startswith(b"NO [OVERQUOTA]")
        assert (await user.say("COPY 1 Archive"))[-1].startswith(b"NO [OVERQUOTA]")
        assert (await user.say("MOVE 1 Archive"))[-1].startswith(b"OK")

        await check_sums(pool, account)


async def test_uids_only_rise_whoever_appends(pool: Pool, tmp_path: Path) -> None:
    account, hub = await add_reader(pool), Hub()
    async with (
        gateway(pool, tmp_path, hub=hub) as here,
        gateway(pool, tmp_path, hub=hub) as there,
    ):
        users = [await a_user(imap) for imap in (here, there, here, there)]

        async def work(user: User) -> list[int]:
            uids = []
            for _ in range(10):
                answer = await user.append("INBOX", LETTER)
                uids.append(int(answer.split(b"]")[0].split()[-1]))
                await user.say("UID STORE 1:* +FLAGS.SILENT \\Flagged")
                await user.say(f"UID COPY {uids[-1]} Archive")
            return uids

        found = await asyncio.gather(*map(work, users))

        assert sorted(uid for uids in found for uid in uids) == list(range(1, 41))
        assert all(uids == sorted(uids) for uids in found)
        for user in users:
            await user.say("NOOP")
            seen = await user.say("FETCH 1:* (UID FLAGS)")
            assert len([line for line in seen if b"\\Flagged" in line]) == 40
        await check_sums(pool, account)


async def test_a_large_message_goes_in_and_out_in_pieces(pool: Pool, tmp_path: Path) -> None:
    await add_reader(pool)
    limits = replace(LIMITS, message_octets=20_000_000)
    letter = LETTER + b"0123456789abcde\r\n" * 300_000
    async with gateway(pool, tmp_path, limits=limits) as imap:
        user = await a_user(imap)
        user.writer.transport.set_write_buffer_limits(high=1 << 25)

        assert (await user.append("INBOX", letter)).startswith(b"OK")
        await user.say("NOOP")

        assert letter in (await user.say("FETCH 1 BODY[]"))[0]
        assert letter[4_000_000:4_000_100] in (await user.say("FETCH 1 BODY[]<4000000.100>"))[0]


async def test_a_message_that_is_too_large_is_refused_and_the_session_goes_on(
    pool: Pool, tmp_path: Path
) -> None:
    await add_reader(pool)
    async with gateway(pool, tmp_path) as imap:
        user = await a_user(imap)

        answer = await user.append("INBOX", LETTER + b"x" * LIMITS.message_octets)

        assert answer.startswith(b"NO [TOOBIG]")
        assert await user.say("NOOP") == [b"OK done"]


async def test_a_missing_object_spoils_only_its_own_body(pool: Pool, tmp_path: Path) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as imap:
        [ident] = await imap.deliver(account, LETTER)
        for path in (tmp_path / "objects").rglob("*.eml"):
            path.unlink()
        user = await a_user(imap)
        before = objects_missing()

        with capture_logs() as lines:
            assert (await user.say("FETCH 1 BODY.PEEK[]"))[-1].startswith(b"NO [SERVERBUG]")

        [told] = [line for line in lines if line["log_level"] != "info"]
        assert (told["log_level"], told["message"]) == ("error", str(ident))
        assert "exc_info" not in told
        assert objects_missing() == before + 1
        assert b"hello" in (await user.say("FETCH 1 (ENVELOPE BODY.PEEK[HEADER])"))[0]
        assert (await user.say("SEARCH TEXT hello"))[0] == b"* SEARCH 1"


async def test_an_outage_is_said_and_the_session_goes_on(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_reader(pool)
    async with gateway(pool, tmp_path) as imap:
        user = await a_user(imap)

        async def away(*_: object, **__: object) -> None:
            raise Unavailable("storage is not available", detail="host db7 is down")

        with monkeypatch.context() as outage:
            outage.setattr(Pool, "fetchrow", away)
            outage.setattr(Pool, "fetch", away)
            with capture_logs() as lines:
                assert await user.say("NOOP") == [b"NO [UNAVAILABLE] storage is not available"]
            assert (await user.append("INBOX", LETTER)).startswith(b"NO [UNAVAILABLE]")

        assert (await user.append("INBOX", LETTER)).startswith(b"OK [APPENDUID")
    [told] = lines
    assert (told["log_level"], told["reason"]) == ("warning", "host db7 is down")


async def test_too_many_connections_are_sent_away(pool: Pool, tmp_path: Path) -> None:
    await add_reader(pool)
    limits = replace(LIMITS, connections=3, connections_per_account=1)
    async with gateway(pool, tmp_path, limits=limits) as imap:
        first = await a_user(imap)
        second = await imap.connect()
        await second.hear()
        answer = await second.say(f'LOGIN anna@example.test "{PASSWORD}"')
        assert answer[-1].startswith(b"NO [LIMIT]")
        await imap.connect()

        fourth = await imap.connect()
        assert await fourth.hear() == b"* BYE Too many connections"
        assert await fourth.reader.read() == b""

        await first.say("LOGOUT")
        answer = await second.say(f'LOGIN anna@example.test "{PASSWORD}"')
        assert answer[-1].startswith(b"OK")


async def test_who_is_silent_is_sent_away(pool: Pool, tmp_path: Path) -> None:
    await add_reader(pool)
    limits = replace(LIMITS, silence=timedelta(seconds=1.5), before_login=timedelta(seconds=1))
    async with gateway(pool, tmp_path, limits=limits) as imap:
        stranger, user = await imap.connect(), await a_user(imap)
        await user.send(b"i IDLE\r\n")
        await user.hear()
        await stranger.hear()

        for one in (stranger, user):
            assert await one.hear() == b"* BYE Silent for too long"
            assert await one.reader.read() == b""


async def test_at_the_end_everybody_is_told_and_running_commands_finish(
    pool: Pool, tmp_path: Path
) -> None:
    await add_reader(pool)
    async with gateway(pool, tmp_path) as imap:
        idler, worker = await a_user(imap), await a_user(imap)
        await idler.send(b"i IDLE\r\n")
        await idler.hear()
        await worker.send(b"w APPEND INBOX {%d+}\r\n%b\r\n" % (len(LETTER), LETTER))
        # PostgreSQL sends no event for it.
        while not await pool.fetch("select 1 from messages"):  # noqa: ASYNC110
            await asyncio.sleep(0)

        await imap.listener.drain(timedelta(seconds=5))

        said = await worker.reader.read()
        assert b"w OK [APPENDUID" in said
        assert said.endswith(b"* BYE Server is shutting down\r\n")
        assert (await idler.reader.read()).endswith(b"* BYE Server is shutting down\r\n")
        with pytest.raises(OSError, match=r"failed|refused"):
            await imap.connect()


async def test_a_client_that_vanishes_leaves_nothing_behind(pool: Pool, tmp_path: Path) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as imap:
        await imap.deliver(account, *[LETTER] * 5)
        for _ in range(3):
            user = await a_user(imap)
            await user.send(b"a FETCH 1:* BODY[]\r\nb APPEND INBOX {100}\r\nx")
            user.writer.transport.abort()

        async with asyncio.timeout(30):
            while imap.house.guests:  # noqa: ASYNC110 - the gateway tells nobody
                await asyncio.sleep(0.01)
        assert imap.house.views.watched() == {}


async def test_a_changed_password_is_refused_at_once(pool: Pool, tmp_path: Path) -> None:
    await add_reader(pool)
    async with gateway(pool, tmp_path) as imap:
        await a_user(imap)

        await directory.set_password(pool, "anna@example.test", "no hash")

        late = await imap.connect()
        await late.hear()
        answer = await late.say(f'LOGIN anna@example.test "{PASSWORD}"')
        assert answer[-1].startswith(b"NO [AUTHENTICATIONFAILED]")


def test_passwords_in_clear_are_no_default() -> None:
    assert ImapSettings.model_fields["imap_plaintext_login"].default is False
