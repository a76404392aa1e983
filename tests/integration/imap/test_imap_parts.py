"""What concerns very many messages is done in parts, and looks as if it were one."""

from __future__ import annotations

from pathlib import Path

import pytest

from imap_gateway import expunging
from imap_gateway.handlers import fetching, storing
from posthouse.storage.pool import Pool
from support.imap import LETTER, add_reader, gateway

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "MESSAGES_AT_ONCE", 2)
    monkeypatch.setattr(fetching, "SEEN_AT_ONCE", 2)
    monkeypatch.setattr(expunging, "MESSAGES_AT_ONCE", 2)


async def test_parts_follow_each_other(pool: Pool, tmp_path: Path) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as imap:
        await imap.deliver(account, *[LETTER] * 5)  # steps 2 to 6
        user, other = await imap.connect(), await imap.connect()
        for one in (user, other):
            await one.login()
            await one.say("SELECT INBOX (CONDSTORE)")
        answer = await user.say("STORE 1:5 (UNCHANGEDSINCE 5) +FLAGS.SILENT (\\Deleted)")
        changed = [
            f"* {n} FETCH (UID {n} MODSEQ ({step}))" for n, step in enumerate((7, 7, 8, 8), 1)
        ]
        assert [line.decode() for line in answer[:4]] == changed
        assert answer[-1].startswith(b"OK [MODIFIED 5]")
        assert len(await user.say("FETCH 1:5 (BODY[TEXT]<0.1>)")) == 5 + 5 + 1
        assert len(await other.say("NOOP")) == 5 + 1
        answer = await user.say("EXPUNGE")
        assert answer[:-1] == [b"* %d EXPUNGE" % n for n in (4, 3, 2, 1)]
        assert answer[-1].startswith(b"OK [HIGHESTMODSEQ 13]")
        assert (await other.say("NOOP"))[:-1] == answer[:-1]
        assert (await user.say("EXPUNGE"))[-1] == b"OK EXPUNGE done"
