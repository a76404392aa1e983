"""Local delivery on a real PostgreSQL and store: filed, deferred, bounced, and each only once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from posthouse.bus.moves import Ack, Bury, Wait
from posthouse.mail.errors import MissingObject
from posthouse.mail.ids import object_key
from posthouse.mime import scan
from posthouse.storage import directory
from posthouse.storage.pool import Pool
from support.delivery import station
from support.filings import add_accounts

pytestmark = pytest.mark.integration

LETTER = b"From: bert@example.test\r\nSubject: hello\r\n\r\nHello.\r\n"


async def _states(pool: Pool) -> dict[int, str]:
    rows = await pool.fetch("select n, state from recipients order by envelope, n")
    return {row["n"]: row["state"] for row in rows}


async def test_a_batch_is_delivered_and_every_mailbox_is_announced_once(
    pool: Pool, tmp_path: Path
) -> None:
    accounts = await add_accounts(pool, "anna", "bert")
    async with station(pool, tmp_path) as post:
        envelopes = [await post.accept(LETTER, *accounts.values()) for _ in range(5)]

        moves = await post.delivery.deliver(envelopes)

        assert moves == [Ack()] * 5
        assert sorted(change.account for change in post.world.changes) == sorted(accounts.values())
    assert await pool.fetchval("select count(*) from messages") == 10
    assert await pool.fetchval("select count(*) from recipients where state = 'delivered'") == 10


async def test_above_the_message_stands_for_whom_and_from_whom(pool: Pool, tmp_path: Path) -> None:
    accounts = await add_accounts(pool, "anna")
    async with station(pool, tmp_path) as post:
        await post.delivery.deliver([await post.accept(LETTER, accounts["anna"])])

    prefix = await pool.fetchval("select prefix from contents")
    assert prefix == (
        b"Return-Path: <bert@example.test>\r\n"
        + b"Delivered-To: account%d@example.test\r\n" % accounts["anna"]
    )


async def test_a_redelivered_envelope_changes_nothing(pool: Pool, tmp_path: Path) -> None:
    accounts = await add_accounts(pool, "anna")
    async with station(pool, tmp_path) as post:
        envelope = await post.accept(LETTER, accounts["anna"])
        await post.delivery.deliver([envelope])

        moves = await post.delivery.deliver([envelope, envelope])

        assert moves == [Ack(), Ack()]
        assert len(post.world.changes) == 1
    assert await pool.fetchval("select count(*) from messages") == 1


async def test_without_a_summary_the_object_is_read(pool: Pool, tmp_path: Path) -> None:
    accounts = await add_accounts(pool, "anna")
    large = LETTER + b"x" * 1_100_000 + b"\r\n"
    async with station(pool, tmp_path) as post:
        envelopes = [
            await post.accept(letter, accounts["anna"], scanned=False) for letter in (LETTER, large)
        ]
        await post.delivery.deliver(envelopes)

    rows = await pool.fetch("select bodystructure from contents order by content_id")
    assert [row["bodystructure"] for row in rows] == [
        scan(letter).bodystructure for letter in (LETTER, large)
    ]


async def test_a_missing_object_is_said_to_be_missing(pool: Pool, tmp_path: Path) -> None:
    accounts = await add_accounts(pool, "anna")
    async with station(pool, tmp_path) as post:
        envelope = await post.accept(LETTER, accounts["anna"], scanned=False)
        await post.blobs.delete([object_key(envelope.id)])

        with pytest.raises(MissingObject):
            await post.delivery.deliver([envelope])
    assert await _states(pool) == {0: "accepted"}


async def test_an_envelope_the_ledger_does_not_know_is_buried(pool: Pool, tmp_path: Path) -> None:
    accounts = await add_accounts(pool, "anna")
    async with station(pool, tmp_path) as post:
        envelope = await post.accept(LETTER, accounts["anna"])
        await pool.execute("delete from recipients")

        [move] = await post.delivery.deliver([envelope])

        assert isinstance(move, Bury)
    assert await pool.fetchval("select count(*) from messages") == 0


async def test_a_full_mailbox_waits_and_takes_the_mail_when_there_is_room(
    pool: Pool, tmp_path: Path
) -> None:
    accounts = await add_accounts(pool, "bert")
    accounts |= await add_accounts(pool, "anna", quota=10)
    async with station(pool, tmp_path) as post:
        envelope = await post.accept(LETTER, accounts["anna"], accounts["bert"])

        [move] = await post.delivery.deliver([envelope])

        assert isinstance(move, Wait)
        assert move.delay == timedelta(minutes=5)
        assert await _states(pool) == {0: "deferred", 1: "delivered"}
        assert post.world.notes == ["filing refused: attempt 1: 452 4.2.2 The mailbox is full"]
        await directory.set_quota(pool, "anna@example.test", None)
        assert move.envelope is not None
        assert await post.delivery.deliver([move.envelope]) == [Ack()]  # type: ignore[list-item]
    assert await _states(pool) == {0: "delivered", 1: "delivered"}
    assert await pool.fetchval("select count(*) from messages") == 2
    waiting = await pool.fetchval(
        "select count(*) from recipients where next_attempt_at is not null"
    )
    assert waiting == 0


async def test_the_sender_is_warned_once_and_told_in_the_end(pool: Pool, tmp_path: Path) -> None:
    accounts = await add_accounts(pool, "anna", quota=10)
    async with station(pool, tmp_path) as post:
        envelope = await post.accept(LETTER, accounts["anna"])
        post.world.age = timedelta(hours=5)
        [first] = await post.delivery.deliver([envelope])
        [again] = await post.delivery.deliver([envelope])  # a double
        assert isinstance(first, Wait)
        assert isinstance(again, Wait)
        warnings = await pool.fetch("select id from envelopes where origin = 'bounce'")
        assert len(warnings) == 1
        # The sweeper publishes it, because only the ledger knows that it was entered.
        assert post.world.published == []
        report = await post.blobs.get(object_key(warnings[0]["id"]))
        assert b"Action: delayed" in report

        post.world.age = timedelta(days=5, minutes=1)
        assert await post.delivery.deliver([first.envelope, first.envelope]) == [Ack(), Ack()]  # type: ignore[list-item]

        [published] = post.world.published
        report = await post.blobs.get(published.blob)
        assert b"Action: failed" in report
        assert b"Status: 5.2.2" in report
    assert await pool.fetchval("select count(*) from envelopes where origin = 'bounce'") == 2
    state = await pool.fetchval("select state from recipients where envelope = $1", envelope.id)
    assert state == "bounced"


async def test_a_bounce_for_a_full_mailbox_is_given_up_early_and_never_answered(
    pool: Pool, tmp_path: Path
) -> None:
    accounts = await add_accounts(pool, "anna", quota=10)
    async with station(pool, tmp_path) as post:
        envelope = await post.accept(LETTER, accounts["anna"], sender="")
        post.world.age = timedelta(days=1, minutes=1)

        assert await post.delivery.deliver([envelope]) == [Ack()]

        assert post.world.published == []
    row = await pool.fetchrow("select state, reply from recipients")
    assert row is not None
    assert (row["state"], row["reply"]) == ("discarded", "double bounce")
    assert await pool.fetchval("select count(*) from envelopes") == 1


async def test_mail_for_an_account_that_is_gone_goes_back_to_its_sender(
    pool: Pool, tmp_path: Path
) -> None:
    accounts = await add_accounts(pool, "anna", "bert")
    async with station(pool, tmp_path) as post:
        envelope = await post.accept(LETTER, accounts["anna"], accounts["bert"])
        await directory.remove_account(pool, "anna@example.test")

        assert await post.delivery.deliver([envelope]) == [Ack()]

        [published] = post.world.published
        assert b"Status: 5.1.1" in await post.blobs.get(published.blob)
    states = await pool.fetch(
        "select state from recipients where envelope = $1 order by n", envelope.id
    )
    assert [row["state"] for row in states] == ["bounced", "delivered"]


async def test_a_large_batch_is_delivered_in_one_transaction(pool: Pool, tmp_path: Path) -> None:
    accounts = await add_accounts(pool, *(f"u{n}" for n in range(10)))
    async with station(pool, tmp_path) as post:
        envelopes = [await post.accept(LETTER, *accounts.values()) for _ in range(30)]

        await post.delivery.deliver(envelopes)

    transactions = await pool.fetchval("select count(distinct xmin::text) from messages")
    assert transactions == 1
    assert await pool.fetchval("select count(*) from messages") == 300
