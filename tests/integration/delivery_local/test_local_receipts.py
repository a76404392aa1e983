"""Senders that want to hear of the arrival hear of it, once (RFC 3461 §5.2.3)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from posthouse.bus.moves import Ack, Wait
from posthouse.mail.envelope import Local
from posthouse.mail.handling import Handling, Notify
from posthouse.mail.ids import object_key
from posthouse.storage.pool import Pool
from support.delivery import Station, station
from support.filings import add_accounts

pytestmark = pytest.mark.integration

LETTER = b"From: bert@far.test\r\nSubject: hello\r\n\r\nHello.\r\n"
SUCCESS = Notify(on="SUCCESS", orcpt="rfc822;Team@Example.test")
REPORTS = "select count(*) from envelopes where subject_id = $1 and origin = 'bounce'"


async def asked(post: Station, *accounts: int, notify: Notify, sender: str = "b@far.test") -> Local:
    """Accept a letter whose sender wants to be told."""
    envelope = await post.accept(LETTER, *accounts, sender=sender)
    return msgspec.structs.replace(
        envelope,
        handling=Handling(envid="QQ+3D1"),
        recipients=tuple(msgspec.structs.replace(to, notify=notify) for to in envelope.recipients),
    )


async def test_the_arrival_is_told_once_however_often_the_envelope_comes(
    pool: Pool, tmp_path: Path
) -> None:
    accounts = await add_accounts(pool, "anna")
    async with station(pool, tmp_path) as post:
        envelope = await asked(post, accounts["anna"], notify=SUCCESS)

        assert await post.delivery.deliver([envelope]) == [Ack()]
        assert await post.delivery.deliver([envelope]) == [Ack()]

        (report,) = post.world.published
        assert [to.address for to in report.recipients] == ["b@far.test"]
        octets = await post.blobs.get(report.blob)
    assert await pool.fetchval(REPORTS, envelope.id) == 1
    assert b"\r\nAction: delivered\r\nStatus: 2.0.0\r\n" in octets
    assert b"\r\nOriginal-Envelope-Id: QQ=1\r\n" in octets
    assert b"\r\nOriginal-Recipient: rfc822; Team@Example.test\r\n" in octets


@pytest.mark.parametrize("on", ["", "NEVER", "FAILURE", "DELAY"])
async def test_who_did_not_ask_is_not_told(pool: Pool, tmp_path: Path, on: str) -> None:
    accounts = await add_accounts(pool, "anna")
    async with station(pool, tmp_path) as post:
        envelope = await asked(post, accounts["anna"], notify=Notify(on=on))

        assert await post.delivery.deliver([envelope]) == [Ack()]

        assert post.world.published == []
    assert await pool.fetchval(REPORTS, envelope.id) == 0


async def test_the_arrival_of_a_report_is_told_to_nobody(pool: Pool, tmp_path: Path) -> None:
    accounts = await add_accounts(pool, "anna")
    async with station(pool, tmp_path) as post:
        envelope = await asked(post, accounts["anna"], notify=SUCCESS, sender="")

        assert await post.delivery.deliver([envelope]) == [Ack()]

        assert post.world.published == []


async def test_what_was_not_filed_has_not_arrived(pool: Pool, tmp_path: Path) -> None:
    accounts = await add_accounts(pool, "anna", quota=10)
    async with station(pool, tmp_path) as post:
        envelope = await asked(post, accounts["anna"], notify=SUCCESS)

        (move,) = await post.delivery.deliver([envelope])

        assert isinstance(move, Wait)
        assert isinstance(move.envelope, Local)
        assert move.envelope.recipients[0].notify == SUCCESS  # it is told when it is filed
        assert post.world.published == []
    assert await pool.fetchval(REPORTS, envelope.id) == 0


@pytest.mark.parametrize(("by", "reports"), [("60;R", 1), ("600;R", 0), ("-1;N", 0)])
async def test_mail_that_must_not_be_late_is_returned_rather_than_filed(
    pool: Pool, tmp_path: Path, by: str, reports: int
) -> None:
    accounts = await add_accounts(pool, "anna")
    async with station(pool, tmp_path) as post:
        plain = await post.accept(LETTER, accounts["anna"], sender="b@far.test")
        envelope = msgspec.structs.replace(
            await post.accept(LETTER, accounts["anna"], sender="b@far.test"),
            handling=Handling(by=by),
        )
        late = replace(post.delivery, now=lambda: datetime.now(UTC) + timedelta(minutes=2))

        assert await late.deliver([envelope, plain]) == [Ack(), Ack()]
        assert await late.deliver([envelope]) == [Ack()]

        assert len(post.world.published) == reports
        for report in post.world.published:
            assert b"\r\nStatus: 5.4.7\r\n" in await post.blobs.get(report.blob)
    filed = await pool.fetchval("select count(*) from messages")
    assert filed == 2 - reports


@pytest.mark.parametrize(
    ("sender", "on"), [("b@far.test", "NEVER"), ("b@far.test", "FAILURE"), ("", "")]
)
async def test_what_is_late_is_filed_at_once_where_nobody_wants_to_hear_of_it(
    pool: Pool, tmp_path: Path, sender: str, on: str
) -> None:
    accounts = await add_accounts(pool, "anna")
    async with station(pool, tmp_path) as post:
        envelope = await asked(post, accounts["anna"], notify=Notify(on=on), sender=sender)
        envelope = msgspec.structs.replace(envelope, handling=Handling(by="60;N"))
        late = replace(post.delivery, now=lambda: datetime.now(UTC) + timedelta(minutes=2))

        assert await late.deliver([envelope]) == [Ack()]
    assert await pool.fetchval("select count(*) from messages") == 1


async def test_of_what_is_late_in_mode_n_its_sender_is_told_once_and_it_is_filed(
    pool: Pool, tmp_path: Path
) -> None:
    accounts = await add_accounts(pool, "anna")
    async with station(pool, tmp_path) as post:
        envelope = msgspec.structs.replace(
            await post.accept(LETTER, accounts["anna"], sender="b@far.test"),
            handling=Handling(by="60;N"),
        )
        late = replace(post.delivery, now=lambda: datetime.now(UTC) + timedelta(minutes=2))

        (told,) = await late.deliver([envelope])
        (again,) = await late.deliver([envelope])  # the same copy: the ledger knows
        assert isinstance(told, Wait)
        assert isinstance(again, Wait)
        assert (told.delay, told.envelope) == (again.delay, again.envelope)
        assert isinstance(told.envelope, Local)
        assert await late.deliver([told.envelope]) == [Ack()]

        (row,) = await pool.fetch("select id from envelopes where subject_id = $1", envelope.id)
        report = await post.blobs.get(object_key(row["id"]))
        assert b"\r\nAction: delayed\r\nStatus: 4.4.7\r\n" in report  # RFC 2852 §4.1.3
        assert b"\r\nDeliver-By-Date: " in report
    assert await pool.fetchval("select count(*) from messages") == 1
