"""What a site gets when mail is handed over to its servers, and what they say that slows us."""

from __future__ import annotations

from datetime import timedelta

import pytest

from delivery_remote.destinations import Destinations
from delivery_remote.handover import Handover, Results
from delivery_remote.next_hop import Limits
from delivery_remote.pace import Shape, Shaping
from delivery_remote.routes import Plan
from delivery_remote.trouble import Later, Taken
from posthouse.mail.envelope import InboundRecipient
from posthouse.mail.rates import Rate
from support.outside import mail, manners, target
from support.scripted_smtp import Peer, scripted

PAUSE = timedelta(minutes=1)


def _plan(peer: Peer) -> Plan:
    return Plan("b.test", (target(peer),))


async def _hand_over(known: Destinations, peer: Peer, count: int = 1) -> Results:
    people = tuple(InboundRecipient(n=n, address=f"u{n}@b.test") for n in range(count))
    destination = known.of(_plan(peer))
    async with destination.slot():
        return await Handover(known, _plan(peer), mail(), people).run(destination)


async def test_a_transaction_has_no_more_recipients_than_the_rule_says() -> None:
    shaping = Shaping(Shape(recipients=2))
    async with Destinations(manners(), Limits(), shaping) as known, scripted() as peer:
        results = await _hand_over(known, peer, 5)

    assert all(isinstance(said.verdict, Taken) for said in results.values())
    assert len(peer.accepted) == 3


@pytest.mark.parametrize(
    "words", [{"connect": "421 4.3.2 too many connections"}, {"MAIL": "450 4.3.2 not now"}]
)
async def test_not_now_makes_a_pause_for_the_whole_site(words: dict[str, str]) -> None:
    shaping = Shaping(Shape(pause=PAUSE))
    async with Destinations(manners(), Limits(), shaping) as known, scripted(words) as peer:
        (said,) = (await _hand_over(known, peer)).values()

        assert isinstance(said.verdict, Later)
        assert 50 < known.of(_plan(peer)).site.paused() <= 60


async def test_greylisting_slows_nobody() -> None:
    async with Destinations(manners(), Limits()) as known, scripted(RCPT="450 4.2.0 grey") as peer:
        await _hand_over(known, peer)

        assert known.of(_plan(peer)).site.paused() == 0


async def test_new_sessions_are_counted_and_kept_ones_are_not() -> None:
    shaping = Shaping(Shape(connections=Rate(10, timedelta(hours=1))))
    async with Destinations(manners(), Limits(), shaping) as known, scripted() as peer:
        for _ in range(3):
            await _hand_over(known, peer)
        site = known.of(_plan(peer)).site

        assert peer.connections == 1
        assert site.hall.buckets.add((site.name, "sessions"), site.shape.connections) == 2


async def test_open_and_unused_sessions_are_among_those_a_site_bears() -> None:
    async with (
        Destinations(manners(), Limits(), Shaping(Shape(sessions=1))) as known,
        scripted() as one,
        scripted() as other,
    ):
        plan = _plan(one)
        for first, second in ((one, other), (other, one)):
            plan = Plan("b.test", (target(first), target(second)))
            destination = known.of(plan)
            people = (InboundRecipient(n=0, address="u@b.test"),)
            async with destination.slot():
                await Handover(known, plan, mail(), people).run(destination)

        assert len(known.of(plan).site.kept) == 1
        assert other.connections == 1
