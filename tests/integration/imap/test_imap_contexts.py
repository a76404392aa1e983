"""Searches that are kept up to date in large mailboxes (RFC 5267 §4.3)."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from imap_gateway import aside
from imap_gateway.connection import Connection
from imap_gateway.searching import contexts
from posthouse.storage.pool import Pool
from support.imap import LETTER, User, add_reader, gateway

pytestmark = pytest.mark.integration


async def opened(user: User) -> None:
    await user.login()
    await user.say("SELECT INBOX")


async def test_what_threads_find_out_the_event_loop_writes(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writers: set[int] = set()

    def write(connection: Connection, octets: bytes) -> None:
        writers.add(threading.get_ident())
        plain(connection, octets)

    plain = Connection.write
    monkeypatch.setattr(Connection, "write", write)
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as imap:
        await imap.deliver(account, LETTER, LETTER, LETTER)
        anna, other = await imap.connect(), await imap.connect()
        await opened(anna)
        await opened(other)
        monkeypatch.setattr(aside, "INLINE_MESSAGES", 0)  # as of a very large mailbox
        await anna.say("UID SEARCH RETURN (UPDATE ALL) UNFLAGGED")
        await anna.say("UID SORT RETURN (UPDATE ALL) (REVERSE ARRIVAL) UTF-8 UNFLAGGED")
        await other.say("STORE 2 +FLAGS.SILENT (\\Flagged)")
        heard = await anna.say("NOOP")
        assert b'* ESEARCH (TAG "t3") UID REMOVEFROM (0 2)' in heard
        assert b'* ESEARCH (TAG "t4") UID REMOVEFROM (2 2)' in heard
        await other.say("STORE 3 +FLAGS.SILENT (\\Deleted)")
        await other.say("EXPUNGE")
        assert b'* ESEARCH (TAG "t4") UID REMOVEFROM (1 3)' in await anna.say("NOOP")
    assert writers == {threading.get_ident()}


async def test_a_session_has_only_so_many_results_kept_up_to_date(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contexts, "MAX_RESULTS", 3)
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as imap:
        await imap.deliver(account, LETTER, LETTER)
        anna = await imap.connect()
        await opened(anna)
        assert len(await anna.say("SEARCH RETURN (UPDATE COUNT) ALL")) == 2
        heard = await anna.say("SEARCH RETURN (UPDATE COUNT) UNDELETED")
        assert heard[1].startswith(b'* NO [NOUPDATE "t4"]')
        await anna.say('CANCELUPDATE "t3"')
        assert len(await anna.say("SEARCH RETURN (UPDATE COUNT) UNDELETED")) == 2
