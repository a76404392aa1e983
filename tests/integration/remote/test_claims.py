"""The claim on an envelope when the session that holds it breaks in a conversation."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import asyncpg
import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from delivery_remote.delivery import CLAIMED_WAIT
from posthouse.bus.moves import Ack, Wait
from posthouse.mail.envelope import Remote
from posthouse.mail.errors import Unavailable
from posthouse.storage.ledger import claiming
from posthouse.storage.pool import Pool
from support.remote import Station
from support.remote_service import come_true
from support.roads import until

pytestmark = pytest.mark.integration

_OURS = """
    pg_locks where locktype = 'advisory'
       and database = (select oid from pg_database where datname = current_database())
"""
_HOLDERS = f"select count(*) from {_OURS} and granted"  # noqa: S608 - ours
_WAITERS = f"select count(*) from {_OURS} and not granted"  # noqa: S608 - ours
_END_THE_HOLDERS = f"select count(pg_terminate_backend(pid)) from {_OURS} and granted"  # noqa: S608


async def test_a_claim_whose_session_broke_is_taken_anew_before_the_final_dot(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        claiming, "PULSE_SECONDS", 0.05
    )  # noticed before the client's patience ends
    peer = await station.server()
    station.domain("b.test", peer.host)
    envelope = await station.accept("bert@b.test")

    with capture_logs() as lines:

        async def end_it() -> None:
            await _end_the_holders(station.pool)
            await until(lambda: bool(_told(lines)), "it is noticed")

        peer.before["DATA"] = end_it
        assert await station.delivery.deliver(envelope) == Ack()

    assert peer.commands.count("DATA") == 1
    assert len(peer.accepted) == 1
    assert station.parts.claims.trouble() is None
    assert _told(lines) == ["claims lost", "claims kept again"]


def _told(lines: Sequence[EventDict]) -> list[str]:
    return [line["event"] for line in lines if "claims" in line["event"]]


async def test_without_its_claim_a_mail_is_cut_off_before_the_final_dot(
    station: Station, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claiming, "CONFIRM_SECONDS", 1.0)
    peer = await station.server()
    station.domain("b.test", peer.host)
    envelope = await station.accept("bert@b.test")
    other = await asyncpg.connect(postgres_url)  # another process, which waits for the claim

    async def lose_it_to_the_other() -> None:
        taking = asyncio.create_task(
            other.execute("select pg_advisory_lock($1)", claiming.key_of(envelope))
        )
        await come_true(lambda: _waits(station.pool), within=5.0)
        await _end_the_holders(station.pool)
        await taking
        await come_true(is_noticed, within=5.0)  # the server frees the locks, then closes

    async def is_noticed() -> bool:
        return not station.parts.claims.is_fresh

    peer.before["DATA"] = lose_it_to_the_other
    try:
        with pytest.raises(Unavailable):
            await station.delivery.deliver(envelope)
        assert await station.delivery.deliver(envelope) == Wait(CLAIMED_WAIT, envelope)
    finally:
        await other.close()

    assert peer.commands.count("DATA") == 1
    assert peer.accepted == []
    assert await station.states(envelope.id) == {0: "routed"}


async def test_a_copy_that_meets_a_short_transaction_is_not_late(
    station: Station, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claiming, "PATIENCE_SECONDS", 30.0)
    peer = await station.server()
    station.domain("b.test", peer.host)
    envelope = await station.accept("bert@b.test")
    other = await asyncpg.connect(postgres_url)  # it makes mail due, as `returns` does
    try:
        async with other.transaction():
            await other.execute("select pg_advisory_xact_lock($1)", claiming.key_of(envelope))
            delivery = asyncio.create_task(station.delivery.deliver(envelope))
            await until(lambda: _refused(station, envelope), "the claim was refused")

        assert await delivery == Ack()
    finally:
        await other.close()


def _refused(station: Station, envelope: Remote) -> bool:
    claim = station.parts.claims._claims.get(claiming.key_of(envelope))
    return claim is not None and claim.granted.done() and not claim.was_granted


async def test_what_is_done_is_given_back(station: Station) -> None:
    peer = await station.server()
    station.domain("b.test", peer.host)
    for _ in range(3):
        await station.delivery.deliver(await station.accept("bert@b.test"))

    async def is_free() -> bool:
        return await station.pool.fetchval(_HOLDERS) == 0

    await come_true(is_free, within=5.0)


async def _end_the_holders(pool: Pool) -> None:
    assert await pool.fetchval(_END_THE_HOLDERS) == 1


async def _waits(pool: Pool) -> bool:
    return await pool.fetchval(_WAITERS) == 1
