"""Ways that operators set: by domain, pattern or sender, over several servers, with a login."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec import structs

from delivery_remote.delivery import Delivery
from delivery_remote.destinations import Destinations
from delivery_remote.next_hop import Limits
from delivery_remote.routes import Plan
from delivery_remote.ways import finding as room
from posthouse.bus.moves import Ack, Wait
from posthouse.mail.hops import parse_hop
from posthouse.storage.directory import Relay, Route, remove_route, set_relay, set_route
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


async def test_a_pattern_takes_all_below_a_domain_and_not_the_domain(station: Station) -> None:
    below, smart = await station.server(), await station.server()
    for pattern, peer in ((".b.test", below), ("*", smart)):
        hops = (parse_hop(f"{peer.host}:{station.port}"),)
        await set_route(station.pool, Route(domain=pattern, hops=hops))

    for address in ("x@a.b.test", "x@c.a.b.test", "x@b.test", "x@ab.test"):
        assert await station.delivery.deliver(await station.accept(address)) == Ack()

    assert (len(below.accepted), len(smart.accepted)) == (2, 2)


async def test_the_next_server_of_a_route_is_asked_when_one_fails(station: Station) -> None:
    busy, good = await station.server(connect="421 4.3.2 busy"), await station.server()
    texts = (
        f"typo.test:{station.port}",
        f"{busy.host}:{station.port},preference=5",
        f"127.0.0.99:{station.port},preference=5",
        f"{good.host}:{station.port},preference=10",
    )
    await set_route(station.pool, Route(domain="*", hops=tuple(map(parse_hop, texts))))

    for _ in range(3):
        assert await station.delivery.deliver(await station.accept("x@b.test")) == Ack()

    assert len(good.accepted) == 3


async def test_a_route_may_name_a_domain_whose_mx_records_count(station: Station) -> None:
    first, second = await station.server(), await station.server()
    station.domain("relay.test", first.host, second.host)
    station.zone.records["relay.test"].append("A 127.0.0.99")
    hops = (parse_hop(f"mx:relay.test:{station.port}"),)
    await set_route(station.pool, Route(domain="*", hops=hops))

    assert await station.delivery.deliver(await station.accept("x@b.test")) == Ack()

    assert (len(first.accepted), len(second.accepted)) == (1, 0)


@pytest.mark.parametrize("records", [["MX 0 ."], ["MX 10 mail.example.test"], None])
async def test_a_route_by_mx_that_leads_nowhere_waits_for_its_operator(
    station: Station, records: list[str] | None
) -> None:
    if records is not None:
        station.zone.records["relay.test"] = records
    await set_route(station.pool, Route(domain="*", hops=(parse_hop("mx:relay.test"),)))

    assert isinstance(await station.delivery.deliver(await station.accept("x@b.test")), Wait)


async def test_a_senders_relay_goes_before_the_smarthost_and_after_a_route(
    station: Station,
) -> None:
    own, smart, routed = [await station.server() for _ in range(3)]
    to = [(parse_hop(f"{peer.host}:{station.port}"),) for peer in (own, smart, routed)]
    await set_relay(station.pool, Relay(sender="@example.test", hops=to[0]))
    await set_route(station.pool, Route(domain="*", hops=to[1]))
    await set_route(station.pool, Route(domain="routed.test", hops=to[2]))

    for sender, address in (
        ("anna@example.test", "x@b.test"),
        ("anna@elsewhere.test", "x@b.test"),
        ("", "x@b.test"),
        ("anna@example.test", "x@routed.test"),
    ):
        assert await station.delivery.deliver(await station.accept(address, sender=sender)) == Ack()

    assert [len(peer.accepted) for peer in (own, smart, routed)] == [1, 2, 1]


async def test_senders_log_in_at_one_server_with_passwords_of_their_own(
    station: Station, tmp_path: Path
) -> None:
    tls = secured(tmp_path / "tls", "relay.test")
    station.zone.records["relay.test"] = ["A 127.0.0.1"]
    hops = (parse_hop(f"relay.test:{station.port}"),)
    for name in ("anna", "bert"):
        relay = Relay(
            sender=f"{name}@example.test", hops=hops, username=name, password=f"{name}s-word"
        )
        await set_relay(station.pool, relay)
    async with (
        Destinations(tls.manners, Limits()) as known,
        scripted(
            EHLO=LOGIN_OFFERED, AUTH="235 2.7.0 welcome", tls=tls.server, port=station.port
        ) as peer,
    ):
        delivery = Delivery(replace(station.parts, destinations=known))
        for name in ("anna", "bert", "anna"):
            mail = await station.accept("x@b.test", sender=f"{name}@example.test")
            assert await delivery.deliver(mail) == Ack()

    words = [base64.b64decode(c.split()[-1]) for c in peer.commands if c.startswith("AUTH ")]
    assert words == [b"\0anna\0annas-word", b"\0bert\0berts-word"]  # a session each, kept


async def test_an_operator_may_send_one_mail_another_way(station: Station) -> None:
    other = await station.server()
    await set_route(station.pool, Route(domain="*", hops=(parse_hop("127.0.0.99:26"),)))
    envelope = structs.replace(await station.accept("x@b.test"), via=f"{other.host}:{station.port}")

    way = await station.parts.ways.plan(envelope.domain, envelope.sender, via=envelope.via)

    assert isinstance(way, Plan)
    assert [target.address for target in way.targets] == [other.host]
