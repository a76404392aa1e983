"""What is too much on a road goes back to the broker; what its time is over for does not."""

from __future__ import annotations

from datetime import timedelta

import pytest

from delivery_remote.surplus import SHORTLY, Surplus
from posthouse.bus.moves import Ack, Wait
from support.ledger import states_of
from support.remote import Station

pytestmark = pytest.mark.integration


async def test_surplus_is_sent_back_without_a_word_in_the_ledger(station: Station) -> None:
    peer = await station.server()
    station.domain("b.test", "127.0.0.2")
    some = [await station.accept("anna@b.test") for _ in range(3)]

    moves = await Surplus(station.delivery)(some)

    assert all(isinstance(move, Wait) and move.envelope is None for move in moves)
    assert [await states_of(station.pool, each.id) for each in some] == [{0: "routed"}] * 3
    assert peer.connections == 0


async def test_surplus_of_a_domain_without_servers_comes_back_shortly(station: Station) -> None:
    nowhere = await station.accept("anna@nowhere.test")

    assert await Surplus(station.delivery)([nowhere]) == [Wait(SHORTLY)]


async def test_what_its_time_is_over_for_is_brought_to_its_end(station: Station) -> None:
    await station.server()
    station.domain("b.test", "127.0.0.2")
    fresh = await station.accept("anna@b.test")
    old = await station.accept("bert@b.test", age=timedelta(days=6))

    moves = await Surplus(station.delivery)([fresh, old])

    assert isinstance(moves[0], Wait)
    assert moves[1] == Ack()
    assert await states_of(station.pool, old.id) == {0: "relayed"}
