"""Routes of the operator: per domain, for all, with a login; seen within seconds."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from delivery_remote.delivery import Delivery
from delivery_remote.destinations import Destinations
from delivery_remote.next_hop import Limits
from delivery_remote.ways import finding as room
from posthouse.bus.moves import Ack, Wait
from posthouse.mail.hops import parse_hop
from posthouse.storage.directory import Route, remove_route, set_route
from support.outside import secured
from support.remote import Station
from support.scripted_smtp import scripted

pytestmark = pytest.mark.integration

LOGIN_OFFERED = "250-relay.test\n250-PIPELINING\n250-STARTTLS\n250 AUTH PLAIN LOGIN"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "TABLE_FRESH", timedelta())


async def test_a_route_goes_before_mx_and_the_smarthost_takes_the_rest(station: Station) -> None:
    world, own, smart = await station.server(), await station.server(), await station.server()
    station.domain("b.test", world.host)
    station.domain("c.test", world.host)
    station.zone.records["relay.test"] = [f"A {own.host}"]
    pool = station.pool
    await set_route(pool, Route(domain="b.test", hops=(parse_hop(f"relay.test:{station.port}"),)))
    await set_route(pool, Route(domain="*", hops=(parse_hop(f"{smart.host}:{station.port}"),)))

    for address in ("x@b.test", "y@c.test", "z@nowhere.test"):
        assert await station.delivery.deliver(await station.accept(address)) == Ack()

    assert len(own.accepted) == 1
    assert len(smart.accepted) == 2
    assert world.connections == 0


async def test_a_change_of_routes_is_seen(station: Station) -> None:
    world, own = await station.server(), await station.server()
    station.domain("b.test", world.host)
    pool = station.pool
    await set_route(pool, Route(domain="b.test", hops=(parse_hop(f"{own.host}:{station.port}"),)))
    await station.delivery.deliver(await station.accept("x@b.test"))

    await remove_route(pool, "b.test")
    await station.delivery.deliver(await station.accept("x@b.test"))

    assert len(own.accepted) == len(world.accepted) == 1


async def test_mail_through_one_smarthost_shares_its_sessions(station: Station) -> None:
    smart = await station.server()
    await set_route(
        station.pool, Route(domain="*", hops=(parse_hop(f"{smart.host}:{station.port}"),))
    )

    for n in range(5):
        await station.delivery.deliver(await station.accept(f"x@d{n}.test"))

    assert len(smart.accepted) == 5
    assert smart.connections == 1


async def test_a_route_to_nowhere_waits_for_its_operator(station: Station) -> None:
    await set_route(
        station.pool, Route(domain="b.test", hops=(parse_hop(f"typo.test:{station.port}"),))
    )

    move = await station.delivery.deliver(await station.accept("x@b.test"))

    assert isinstance(move, Wait)


@pytest.mark.parametrize("reply", ["235 2.7.0 welcome", "535 5.7.8 no"])
async def test_a_route_with_a_username_logs_in_over_verified_tls(
    station: Station, tmp_path: Path, reply: str
) -> None:
    tls = secured(tmp_path / "tls", "relay.test")
    station.zone.records["relay.test"] = ["A 127.0.0.1"]
    route = Route(
        domain="*",
        hops=(parse_hop(f"relay.test:{station.port}"),),
        username="house",
        password="geheim",  # noqa: S106
    )
    await set_route(station.pool, route)
    async with (
        Destinations(tls.manners, Limits()) as known,
        scripted(EHLO=LOGIN_OFFERED, AUTH=reply, tls=tls.server, port=station.port) as smart,
    ):
        delivery = Delivery(replace(station.parts, destinations=known))

        move = await delivery.deliver(await station.accept("x@b.test"))

    assert [c for c in smart.commands if c.startswith("AUTH PLAIN ")]
    assert smart.encrypted == 1
    if reply.startswith("235"):
        assert move == Ack()
        assert len(smart.accepted) == 1
    else:  # our mistake must not bounce mail
        assert isinstance(move, Wait)
        assert smart.accepted == []


async def test_the_world_gets_tls_from_anybody(station: Station, tmp_path: Path) -> None:
    tls = secured(tmp_path / "tls", "not.the.name.test")
    station.zone.records["b.test"] = ["A 127.0.0.1"]
    async with scripted(EHLO=LOGIN_OFFERED, tls=tls.server, port=station.port) as peer:
        assert await station.delivery.deliver(await station.accept("x@b.test")) == Ack()

    assert peer.encrypted == 1
    assert len(peer.accepted) == 1
