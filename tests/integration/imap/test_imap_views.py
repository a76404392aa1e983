"""Shared views on a real PostgreSQL: read in pages, brought up to date, read anew after a gap."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from imap_gateway.view.shared import SharedView
from imap_gateway.views import Views
from posthouse.storage.mailboxes import find_mailbox
from posthouse.storage.messages import FlagChange, Mode, expunge, store_flags
from posthouse.storage.pool import Pool
from posthouse.storage.snapshots import prune_changes
from support.imap import LETTER, add_reader, gateway

pytestmark = pytest.mark.integration


async def opened(pool: Pool, account: int) -> tuple[Views, SharedView]:
    box = await find_mailbox(pool, account, "INBOX")
    views = Views(pool, asyncio.get_running_loop().time)
    return views, await views.open(account, box.id, box.uidvalidity)


async def test_a_mailbox_is_read_in_pages_and_after_a_gap_anew(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("posthouse.storage.snapshots.CHUNK_MESSAGES", 3)
    monkeypatch.setattr("imap_gateway.views.CHUNK_MESSAGES", 3)
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as imap:
        await imap.deliver(account, *[LETTER] * 8)
        views, view = await opened(pool, account)
        assert view.rows.uids.tolist() == list(range(1, 9))

        flagged = FlagChange(mode=Mode.ADD, flags=4)
        await store_flags(pool, account, view.mailbox, [2, 7], flagged)
        await expunge(pool, account, view.mailbox, [1, 4], deleted_only=False)
        await imap.deliver(account, LETTER)
        await views.refresh(view)
        assert view.rows.uids.tolist() == [2, 3, 5, 6, 7, 8, 9]
        assert view.rows.flags.tolist() == [4, 0, 0, 0, 4, 0, 0]
        assert view.knows_since(view.modseq - 3)

        await expunge(pool, account, view.mailbox, [9], deleted_only=False)
        await imap.deliver(account, LETTER)
        assert await prune_changes(pool, account, view.mailbox, keep=1) > 0
        await views.refresh(view)

        assert view.rows.uids.tolist() == [2, 3, 5, 6, 7, 8, 10]
        assert not view.knows_since(view.modseq - 2)
