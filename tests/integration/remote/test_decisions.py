"""What operators decide reaches the copies that the broker still has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TypeAlias

import pytest

from delivery_remote.delivery import Delivery
from delivery_remote.destinations import Destinations
from delivery_remote.next_hop import Limits
from posthouse.bus.moves import Ack, Move, Wait
from posthouse.mail.envelope import Remote
from posthouse.storage import ledger
from posthouse.storage.ledger import Changed, Choice, Place
from posthouse.storage.pool import Tx
from support.outside import manners
from support.remote import Station
from support.remote_service import come_true
from support.roads import until
from support.scripted_smtp import Peer
from support.waiting import decided

pytestmark = pytest.mark.integration

GREYLISTED = "450 4.2.0 greylisted"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ALL = Choice()

Decision: TypeAlias = Callable[[Tx, Sequence[Place]], Awaitable[Changed]]


def _again(move: Move) -> Remote:
    assert isinstance(move, Wait)
    assert isinstance(move.envelope, Remote)
    return move.envelope


async def fresh(station: Station, changed: Changed) -> list[Remote]:
    """Return what is published because of a decision."""
    return ledger.requested(await ledger.envelopes_at(station.pool, changed.due))


def taken(peer: Peer) -> int:
    """Return how many messages it took; nothing is sent where no recipient was taken."""
    return sum(1 for message in peer.accepted if message)


async def decide(
    station: Station, decision: Decision, choice: Choice = ALL, count: int = 1
) -> Changed:
    """Take a decision of ``count`` recipients or more, once deliveries have given their claims back."""
    found = Changed(())

    async def is_taken() -> bool:
        nonlocal found
        taken = await decided(station.pool, choice, decision)
        found = Changed(found.places + taken.places, found.due + taken.due)
        return len(found.places) >= count

    await come_true(is_taken, within=5.0)
    return found


async def test_what_is_held_is_put_aside_and_its_copy_dropped(station: Station) -> None:
    peer = await station.server(RCPT=[GREYLISTED, "250 ok"])
    station.domain("b.test", peer.host)
    copy = _again(await station.delivery.deliver(await station.accept("bert@b.test")))

    await decide(station, ledger.hold)
    await station.time_passes(5 * HOUR)

    assert await station.delivery.deliver(copy) == Ack()
    assert await station.states(copy.id) == {0: "held"}
    assert taken(peer) == 0

    released = await decide(station, ledger.let_go)
    (one,) = await fresh(station, released)
    assert await station.delivery.deliver(one) == Ack()
    assert await station.states(copy.id) == {0: "relayed"}
    assert taken(peer) == 1


async def test_the_copy_from_before_the_hold_is_dropped_after_it(station: Station) -> None:
    peer = await station.server(RCPT=[GREYLISTED, "250 ok"])
    station.domain("b.test", peer.host)
    old = _again(await station.delivery.deliver(await station.accept("bert@b.test")))
    await decide(station, ledger.hold)
    (one,) = await fresh(station, await decide(station, ledger.let_go))

    assert await station.delivery.deliver(one) == Ack()
    await station.time_passes(HOUR)
    assert await station.delivery.deliver(old) == Ack()

    assert taken(peer) == 1


async def test_the_time_it_was_held_is_no_age_to_give_up_at(station: Station) -> None:
    peer = await station.server(RCPT=GREYLISTED)
    station.domain("b.test", peer.host)
    old = await station.accept("bert@b.test", age=6 * DAY)
    held = await station.accept("bert@b.test", age=6 * DAY)
    await decide(station, ledger.hold, Choice(ids=(held.id,)))
    await station.pool.execute("update recipients set held_at = held_at - interval '2 days'")
    (one,) = await fresh(station, await decide(station, ledger.let_go))

    assert await station.delivery.deliver(old) == Ack()
    assert _again(await station.delivery.deliver(one)).paused == 2 * 24 * 3600

    assert await station.states(old.id) == {0: "bounced"}
    assert await station.states(held.id) == {0: "deferred"}


async def test_what_is_rerouted_goes_by_its_own_next_hop(station: Station) -> None:
    usual = await station.server(RCPT=GREYLISTED)
    other = await station.server()
    station.domain("b.test", usual.host)
    old = _again(await station.delivery.deliver(await station.accept("bert@b.test", "dora@b.test")))

    hop = f"smtp:{other.host}:{station.port}"
    rerouted = await decide(station, partial(ledger.reroute, via=hop), count=2)
    (one,) = await fresh(station, rerouted)

    assert await station.delivery.deliver(one) == Ack()
    assert await station.delivery.deliver(old) == Ack()
    assert await station.states(old.id) == {0: "relayed", 1: "relayed"}
    assert (taken(usual), taken(other)) == (0, 1)


async def test_what_is_bounced_is_returned_with_the_operators_words(station: Station) -> None:
    peer = await station.server(RCPT=GREYLISTED)
    station.domain("b.test", peer.host)
    old = _again(await station.delivery.deliver(await station.accept("bert@b.test")))

    bounced = await decide(station, partial(ledger.bounce, text="we do not write to them"))
    (one,) = await fresh(station, bounced)
    assert await station.delivery.deliver(one) == Ack()
    assert await station.delivery.deliver(one) == Ack()  # published twice
    assert await station.delivery.deliver(old) == Ack()

    assert await station.states(old.id) == {0: "bounced"}
    (report,) = await station.reports_on(old.id)
    assert "we do not write to them" in report.as_string()
    assert peer.connections == 1


async def test_many_that_are_asked_for_ask_a_dead_site_once(station: Station) -> None:
    station.domain("b.test", "127.0.0.99")  # nobody listens there
    async with Destinations(manners(), Limits(rest=timedelta(minutes=5))) as destinations:
        delivery = Delivery(replace(station.parts, destinations=destinations))
        for _ in range(4):
            await delivery.deliver(await station.accept("bert@b.test"))
        assert await tried(station) == 1

        for one in await fresh(station, await decide(station, ledger.retry, count=4)):
            await delivery.deliver(one)

    assert await tried(station) == 2


async def tried(station: Station) -> int:
    """Return how often the site was asked, as the ledger counts."""
    return int(str(await station.pool.fetchval("select sum(attempts) from recipients")))


async def test_what_waits_follows_when_a_site_is_back(station: Station) -> None:
    station.domain("b.test", "127.0.0.2")  # nobody listens there yet
    copies = [await station.delivery.deliver(await station.accept("bert@b.test")) for _ in "123"]
    await station.pool.execute("update recipients set next_attempt_at = now() + interval '4 h'")
    peer = await station.server()
    await decide(station, ledger.hold, Choice(ids=(_again(copies[0]).id,)))
    (asked,) = await fresh(station, await decide(station, ledger.let_go))

    assert await station.delivery.deliver(asked) == Ack()
    await until(lambda: len(station.post.sent) == 2, "the rest did not follow")
    for envelope in station.post.sent:
        assert isinstance(envelope, Remote)
        assert await station.delivery.deliver(envelope) == Ack()

    assert taken(peer) == 3
    for copy in copies:
        assert await station.delivery.deliver(_again(copy)) == Ack()
    assert taken(peer) == 3


async def test_after_a_restart_the_first_that_gets_through_is_not_alone(station: Station) -> None:
    peer = await station.server(RCPT=[GREYLISTED] * 3 + ["250 ok"] * 3)
    station.domain("b.test", peer.host)
    first, *_ = [
        _again(await station.delivery.deliver(await station.accept("bert@b.test"))) for _ in "123"
    ]
    await station.time_passes(HOUR)
    await station.pool.execute(
        "update recipients set next_attempt_at = now() + interval '4 h' where envelope <> $1",
        first.id,
    )
    async with Destinations(manners(), Limits()) as destinations:  # it knows nothing
        delivery = Delivery(replace(station.parts, destinations=destinations))
        assert await delivery.deliver(first) == Ack()
        await until(lambda: len(station.post.sent) == 2, "the rest did not follow")
