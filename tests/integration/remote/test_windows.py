"""The windows in which mail could be doubled or lost: PostgreSQL away, a crash, doubled work."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import asyncpg
import pytest

from posthouse.bus.moves import Ack, Move
from posthouse.mail.envelope import Remote
from posthouse.mail.errors import Unavailable
from posthouse.telemetry.metrics import exposition
from support.remote import Station
from support.roads import until
from support.servers import needed

pytestmark = pytest.mark.integration


class Away:
    """Takes one database away, as a failover does, and gives it back."""

    def __init__(self, admin: asyncpg.Connection, name: str) -> None:
        self._admin = admin
        self._name = name

    async def take(self) -> None:
        await self._admin.execute(f"alter database {self._name} allow_connections false")
        await self._admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", self._name
        )

    async def give(self) -> None:
        await self._admin.execute(f"alter database {self._name} allow_connections true")


@asynccontextmanager
async def _control(postgres_url: str) -> AsyncIterator[Away]:
    admin = await asyncpg.connect(needed("POSTHOUSE_TEST_POSTGRES"))
    away = Away(admin, urlsplit(postgres_url).path.removeprefix("/"))
    try:
        yield away
    finally:
        await away.give()
        await admin.close()


def _settle_failures() -> float:
    found = re.search(
        rb"^posthouse_remote_settle_failures_total (\S+)$", exposition(), re.MULTILINE
    )
    assert found is not None
    return float(found[1])


async def test_if_postgresql_goes_after_the_250_the_result_is_kept_and_nothing_sent_again(
    station: Station, postgres_url: str
) -> None:
    peer = await station.server()
    station.domain("b.test", peer.host)
    envelope = await station.accept("bert@b.test")
    delivery = station.delivery
    async with _control(postgres_url) as away:
        peer.before["."] = away.take

        work = asyncio.create_task(delivery.deliver(envelope))
        failures = _settle_failures()
        await until(lambda: _settle_failures() >= failures + 3, "the ledger was tried in vain")
        assert station.parts.books.trouble() == "1 sent messages wait for the ledger"
        assert not work.done()
        assert len(peer.accepted) == 1
        await away.give()

        assert await work == Ack()

    assert station.parts.books.trouble() is None
    assert len(peer.accepted) == 1
    assert await station.states(envelope.id) == {0: "relayed"}


async def test_a_crash_between_250_and_commit_doubles_at_most_once(
    station: Station, postgres_url: str
) -> None:
    peer = await station.server()
    station.domain("b.test", peer.host)
    envelope = await station.accept("bert@b.test")
    async with _control(postgres_url) as away:
        peer.before["."] = away.take
        work = asyncio.create_task(station.delivery.deliver(envelope))
        await until(lambda: bool(peer.accepted), "the peer took it")
        work.cancel()  # the process dies
        with pytest.raises(asyncio.CancelledError):
            await work
        del peer.before["."]
        await away.give()

    for _ in range(3):  # the broker gives it again, and again
        assert await _held(station, envelope) == Ack()

    # Once if the ledger's writer, which has not died here, still had the result.
    assert 1 <= len(peer.accepted) <= 2
    assert await station.states(envelope.id) == {0: "relayed"}


async def _held(station: Station, envelope: Remote) -> Move:
    """Deliver as the consumer does: while a part of the house is away, the work is held."""
    async with asyncio.timeout(10):
        while True:
            with suppress(Unavailable):
                return await station.delivery.deliver(envelope)
            await asyncio.sleep(0.1)


async def test_if_postgresql_is_away_before_sending_nothing_is_sent(
    station: Station, postgres_url: str
) -> None:
    peer = await station.server()
    station.domain("b.test", peer.host)
    envelope = await station.accept("bert@b.test")
    async with _control(postgres_url) as away:
        await away.take()
        with pytest.raises(Unavailable):
            await station.delivery.deliver(envelope)

    assert peer.connections == 0


async def test_a_failure_after_postgresql_went_is_told_once(
    station: Station, postgres_url: str
) -> None:
    peer = await station.server(dot="550 5.7.1 no")
    station.domain("b.test", peer.host)
    envelope = await station.accept("bert@b.test")
    async with _control(postgres_url) as away:
        peer.before["."] = away.take
        work = asyncio.create_task(station.delivery.deliver(envelope))
        failures = _settle_failures()
        await until(lambda: _settle_failures() > failures, "the ledger was tried in vain")
        await away.give()
        assert await work == Ack()

    assert len(await station.reports_on(envelope.id)) == 1
    assert await station.states(envelope.id) == {0: "bounced"}
