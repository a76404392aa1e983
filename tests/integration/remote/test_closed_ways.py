"""Ways that operators close: mail waits, without an attempt, until they open or somebody asks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from delivery_remote.ways import finding
from posthouse.bus.moves import Ack, Wait
from posthouse.mail.envelope import Remote
from posthouse.mail.hops import parse_hop
from posthouse.storage import ledger
from posthouse.storage.directory import Route, set_route
from posthouse.storage.ledger.republishing import requested
from support.remote import Station
from support.remote_service import come_true

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "TABLE_FRESH", timedelta())


async def _close(station: Station, to: str, window: str | None = None) -> None:
    hops = (parse_hop(f"{to}:{station.port}"),)
    await set_route(station.pool, Route(domain="*", hops=hops, hold=window is None, window=window))


def _window_in(hours: int, *, lasts: int = 2) -> str:
    begin = datetime.now(UTC) + timedelta(hours=hours)
    return f"daily {begin:%H:%M}-{begin + timedelta(hours=lasts):%H:%M}"


async def test_held_mail_waits_and_goes_when_it_is_asked_for(station: Station) -> None:
    smart = await station.server()
    await _close(station, smart.host)
    envelope = await station.accept("x@b.test")

    move = await station.delivery.deliver(envelope)

    assert isinstance(move, Wait)
    assert isinstance(move.envelope, Remote)
    assert move.envelope.attempts == 0
    assert await station.states(envelope.id) == {0: "deferred"}
    assert smart.connections == 0
    assert sum(station.zone.asked.values()) == 0  # the line may be down

    released = structs.replace(move.envelope, on_request=True)
    await station.time_passes(timedelta(hours=4))
    assert await station.delivery.deliver(released) == Ack()
    assert len(smart.accepted) == 1


async def test_what_etrn_or_an_operator_releases_goes_through_a_closed_way(
    station: Station,
) -> None:
    smart = await station.server()
    await _close(station, smart.host)
    held = [await station.accept(f"{name}@b.test") for name in ("x", "y")]
    for envelope in held:
        await station.delivery.deliver(envelope)
    released: list[Remote] = []

    async def is_released() -> bool:  # what is put off at this moment is left alone
        released.extend(await ledger.release(station.pool, "b.test", below=False, limit=10))
        return len(released) == len(held)

    await come_true(is_released, within=5.0)
    for envelope in requested(released):
        assert await station.delivery.deliver(envelope) == Ack()

    assert len(smart.accepted) == len(held)


async def test_what_was_asked_for_in_vain_is_held_again(station: Station) -> None:
    smart = await station.server(RCPT="450 4.2.0 not now")
    await _close(station, smart.host)
    envelope = structs.replace(await station.accept("x@b.test"), on_request=True)

    first = await station.delivery.deliver(envelope)
    assert isinstance(first, Wait)
    assert isinstance(first.envelope, Remote)
    await station.time_passes(timedelta(hours=4))
    second = await station.delivery.deliver(first.envelope)

    assert isinstance(second, Wait)
    assert len([c for c in smart.commands if c.startswith("RCPT")]) == 1


async def test_a_way_opens_in_time(station: Station) -> None:
    smart = await station.server()
    await _close(station, smart.host, _window_in(3))
    envelope = await station.accept("x@b.test")

    move = await station.delivery.deliver(envelope)
    assert isinstance(move, Wait)
    assert isinstance(move.envelope, Remote)
    assert timedelta(hours=2, minutes=58) < move.delay <= timedelta(hours=3)

    await _close(station, smart.host, _window_in(-1))
    await station.time_passes(move.delay)
    assert await station.delivery.deliver(move.envelope) == Ack()


async def test_nobody_is_warned_of_mail_that_waits_for_its_window(station: Station) -> None:
    await _close(station, "127.0.0.9", _window_in(3))
    envelope = await station.accept("x@b.test", age=timedelta(hours=12))

    assert isinstance(await station.delivery.deliver(envelope), Wait)

    assert await station.reports_on(envelope.id) == []


async def test_held_mail_is_given_up_in_time(station: Station) -> None:
    await _close(station, "127.0.0.9")
    envelope = await station.accept("x@b.test", age=timedelta(days=6))

    assert await station.delivery.deliver(envelope) == Ack()

    assert await station.states(envelope.id) == {0: "bounced"}
    (report,) = await station.reports_on(envelope.id)
    assert "holds mail until it is asked for" in " ".join(report.as_string().split())


async def test_an_exception_is_open_while_the_rest_is_closed(station: Station) -> None:
    world = await station.server()
    await _close(station, "127.0.0.9")
    station.domain("a.open.test", world.host)
    direct = Route(domain=".open.test", hops=(parse_hop("direct"),))
    await set_route(station.pool, direct)

    assert await station.delivery.deliver(await station.accept("x@a.open.test")) == Ack()

    assert len(world.accepted) == 1


async def test_a_request_is_for_one_attempt_also_where_nobody_could_be_asked(
    station: Station,
) -> None:
    hops = (parse_hop("typo.test:25"),)
    await set_route(station.pool, Route(domain="*", hops=hops, hold=True))
    envelope = structs.replace(await station.accept("x@b.test"), on_request=True)

    move = await station.delivery.deliver(envelope)

    assert isinstance(move, Wait)
    assert isinstance(move.envelope, Remote)
    assert not move.envelope.on_request
