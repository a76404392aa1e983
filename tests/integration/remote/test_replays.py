"""Dead letters that are replayed: whom they reached already, they do not reach again."""

from __future__ import annotations

import pytest

from posthouse.bus.moves import Ack
from posthouse.mail.envelope import Remote
from posthouse.storage import ledger
from posthouse.storage.pool import transaction
from support.remote import Station

pytestmark = pytest.mark.integration


async def _die_and_be_replayed(station: Station, envelope: Remote) -> Remote:
    """Do what the undertaker and `posthouse dead replay` do; return what travels then."""
    numbers = [recipient.n for recipient in envelope.recipients]
    async with transaction(station.pool) as tx:
        await ledger.mark_dead(tx, envelope.id, "a bug of ours", numbers)
        risen = await ledger.revive(tx, [(envelope.id, n) for n in numbers])
    (again,) = await ledger.envelopes_at(station.pool, risen.due)
    return again


async def test_a_replayed_letter_goes_only_to_whom_it_did_not_reach(station: Station) -> None:
    peer = await station.server(RCPT=["250 ok", "450 4.2.0 greylisted", "250 ok"])
    station.domain("b.test", peer.host)
    envelope = await station.accept("bert@b.test", "carl@b.test")
    await station.delivery.deliver(envelope)

    again = await _die_and_be_replayed(station, envelope)
    assert [each.address for each in again.recipients] == ["carl@b.test"]
    for copy in (again, again, envelope):
        assert await station.delivery.deliver(copy) == Ack()

    rcpts = [command for command in peer.commands if command.startswith("RCPT")]
    assert rcpts == ["RCPT TO:<bert@b.test>", "RCPT TO:<carl@b.test>", "RCPT TO:<carl@b.test>"]
    assert await station.states(envelope.id) == {0: "relayed", 1: "relayed"}
