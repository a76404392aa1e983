"""Ways that DNS tells: aliases, families, literals, and what leads back to us (RFC 5321 §5.1)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from delivery_remote.delivery import Delivery
from delivery_remote.ways import Customs, Families, Ways, parse_ours
from posthouse.bus.moves import Ack, Wait
from posthouse.resolver import Resolver
from support.remote import HOSTNAME, OURS, SECONDS, Station

pytestmark = pytest.mark.integration


def _by(station: Station, customs: Customs) -> Delivery:
    resolver = Resolver(station.zone.nameservers, lifetime=SECONDS)
    return Delivery(replace(station.parts, ways=Ways(station.pool, resolver, customs)))


async def test_aliases_of_domains_and_of_exchanges_are_followed(station: Station) -> None:
    peer = await station.server()
    station.zone.records |= {
        "alias.test": ["CNAME real.test"],
        "real.test": ["MX 10 mx.real.test"],
        "mx.real.test": ["CNAME host.real.test"],
        "host.real.test": [f"A {peer.host}"],
    }
    station.zone.curt = {"alias.test", "mx.real.test"}

    assert await station.delivery.deliver(await station.accept("x@alias.test")) == Ack()

    assert "RCPT TO:<x@alias.test>" in peer.commands  # the address stays as it is


async def test_ipv4_is_the_way_where_ipv6_leads_nowhere(station: Station) -> None:
    peer = await station.server()
    station.zone.records["b.test"] = ["AAAA ::1", f"A {peer.host}"]  # nobody listens on ::1

    assert await station.delivery.deliver(await station.accept("x@b.test")) == Ack()

    assert len(peer.accepted) == 1


@pytest.mark.parametrize(
    ("families", "record", "state"),
    [
        (Families.ONLY_IPV6, "A 127.0.0.2", "bounced"),
        (Families.ONLY_IPV4, "A 127.0.0.2", "relayed"),
        (Families.ONLY_IPV4, "AAAA ::1", "bounced"),
    ],
)
async def test_a_family_that_is_not_ours_is_no_way(
    station: Station, families: Families, record: str, state: str
) -> None:
    await station.server()
    station.zone.records["b.test"] = [record]
    delivery = _by(station, Customs(ours=OURS, port=station.port, families=families))
    envelope = await station.accept("x@b.test")

    await delivery.deliver(envelope)

    assert await station.states(envelope.id) == {0: state}


@pytest.mark.parametrize(
    ("literal", "may", "state"),
    [
        ("[127.0.0.2]", True, "relayed"),
        ("[IPv6:::ffff:127.0.0.2]", True, "relayed"),
        ("[127.0.0.2]", False, "bounced"),
        ("[127.0.0.999]", True, "bounced"),
    ],
)
async def test_an_address_literal_is_its_own_server_if_that_is_wanted(
    station: Station, literal: str, *, may: bool, state: str
) -> None:
    await station.server()
    delivery = _by(station, Customs(ours=OURS, port=station.port, literals=may))
    envelope = await station.accept(f"x@{literal}")

    await delivery.deliver(envelope)

    assert await station.states(envelope.id) == {0: state}


@pytest.mark.parametrize(
    "records",
    [
        {"b.test": [f"MX 10 {HOSTNAME}", "MX 20 far.test"]},
        {"b.test": ["MX 10 other-name.test"], "other-name.test": ["A 127.0.0.9"]},
        {"b.test": ["MX 10 alias.test"], "alias.test": [f"CNAME {HOSTNAME}"]},
        {"b.test": ["A 127.0.0.9"]},
    ],
)
async def test_what_leads_back_to_us_bounces_as_a_loop(
    station: Station, records: dict[str, list[str]]
) -> None:
    us = await station.server()
    station.zone.records |= {HOSTNAME: ["A 127.0.0.9"], **records}
    ours = parse_ours(f"{HOSTNAME}, 127.0.0.8/30")
    envelope = await station.accept("x@b.test")

    await _by(station, Customs(ours=ours, port=station.port)).deliver(envelope)

    assert us.connections == 0
    (report,) = await station.reports_on(envelope.id)
    assert "5.4.6" in report.as_string()


async def test_a_better_exchange_than_we_are_is_asked(station: Station) -> None:
    better = await station.server()
    station.zone.records |= {
        "b.test": ["MX 10 better.test", "MX 20 us.test", "MX 30 worse.test"],
        "better.test": [f"A {better.host}"],
        "us.test": ["A 127.0.0.9"],
        "worse.test": ["A 127.0.0.7"],
    }
    customs = Customs(ours=parse_ours("127.0.0.9"), port=station.port)

    assert await _by(station, customs).deliver(await station.accept("x@b.test")) == Ack()

    assert len(better.accepted) == 1


@pytest.mark.parametrize("sick", ["b.test", "mx.b.test"])
async def test_a_name_server_that_fails_makes_mail_wait(station: Station, sick: str) -> None:
    station.zone.records |= {"b.test": ["MX 10 mx.b.test"], "mx.b.test": ["A 127.0.0.2"]}
    station.zone.records[sick] = ["SERVFAIL"]

    move = await station.delivery.deliver(await station.accept("x@b.test"))

    assert isinstance(move, Wait)


async def test_exchanges_without_addresses_are_no_reason_to_ask_the_domain_itself(
    station: Station,
) -> None:
    peer = await station.server()
    station.zone.records["b.test"] = ["MX 10 gone.test", f"A {peer.host}"]
    envelope = await station.accept("x@b.test")

    await station.delivery.deliver(envelope)

    assert await station.states(envelope.id) == {0: "bounced"}  # RFC 5321 §5.1
    assert peer.connections == 0
