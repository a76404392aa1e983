"""What is said about mailboxes is counted by no quota, so it has bounds of its own (RFC 5464 §4.3)."""

from __future__ import annotations

import pytest

from posthouse.storage import annotations as room
from posthouse.storage.annotations import EVERYBODY, TooManyAnnotations, write_annotations
from posthouse.storage.mailboxes import INBOX, create_mailbox, find_mailbox
from posthouse.storage.pool import Pool
from support.filings import add_accounts

pytestmark = pytest.mark.integration

ENTRY = "/private/comment"


async def test_all_that_one_reader_says_in_an_account_is_bounded(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna, bert = (await add_accounts(pool, "anna", "bert")).values()
    inbox, other = await find_mailbox(pool, anna, INBOX), await create_mailbox(pool, anna, "Other")
    monkeypatch.setattr(room, "MAX_OCTETS", 1000)

    await write_annotations(pool, anna, inbox.id, {anna: {ENTRY: bytes(600)}})
    with pytest.raises(TooManyAnnotations):
        await write_annotations(pool, anna, other.id, {anna: {ENTRY: bytes(600)}})
    await write_annotations(pool, anna, other.id, {bert: {ENTRY: bytes(600)}})
    await write_annotations(pool, anna, other.id, {EVERYBODY: {"/shared/comment": bytes(600)}})

    await write_annotations(pool, anna, inbox.id, {anna: {ENTRY: None}})
    await write_annotations(pool, anna, other.id, {anna: {ENTRY: bytes(600)}})
