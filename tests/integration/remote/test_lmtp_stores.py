"""Routes to mail stores that speak LMTP: a real Dovecot, by TCP and by a socket (RFC 2033)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import prometheus_client
import pytest

from delivery_remote.ways import finding
from posthouse.bus.moves import Ack, Wait
from posthouse.mail.envelope import Remote
from posthouse.mail.handling import Notify
from posthouse.mail.hops import parse_hop
from posthouse.storage.directory import Route, set_route
from support.dovecot import Store, dovecot
from support.outside import MESSAGE
from support.remote import Station

pytestmark = pytest.mark.integration

ANNA, BERT, FULL = "anna@box.test", "bert@box.test", "full@box.test"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "TABLE_FRESH", timedelta())


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    async with dovecot({ANNA: "", BERT: "", FULL: "*:bytes=10"}) as running:
        yield running


async def _lead(station: Station, *hops: str) -> None:
    await set_route(station.pool, Route(domain="box.test", hops=tuple(map(parse_hop, hops))))


@pytest.mark.parametrize("by", ["port", "socket"])
async def test_each_recipient_gets_an_answer_of_its_own(
    station: Station, store: Store, by: str
) -> None:
    await _lead(station, f"lmtp:127.0.0.1:{store.port}" if by == "port" else f"lmtp:{store.socket}")
    envelope = await station.accept(ANNA, FULL, BERT, "nobody@box.test")

    move = await station.delivery.deliver(envelope)

    states = await station.states(envelope.id)
    assert (states[0], states[2], states[3]) == ("relayed", "relayed", "bounced")
    assert states[1] in {"bounced", "deferred"}  # after the dot; Dovecot says 552 or 452
    for user in (ANNA, BERT):
        (message,) = store.messages(user)
        assert message.endswith(MESSAGE.replace(b"\r\n", b"\n"))
    if isinstance(move, Wait):
        assert isinstance(move.envelope, Remote)
        assert [to.address for to in move.envelope.recipients] == [FULL]


async def test_a_store_that_is_away_gives_way_to_the_next(station: Station, store: Store) -> None:
    await _lead(station, f"lmtp:{store.socket}.gone", f"lmtp:127.0.0.1:{store.port},preference=10")

    assert await station.delivery.deliver(await station.accept(ANNA)) == Ack()

    assert len(store.messages(ANNA)) == 1


async def test_a_sender_who_wants_to_know_hears_that_the_store_has_it(
    station: Station, store: Store
) -> None:
    await _lead(station, f"lmtp:{store.socket}")
    envelope = await station.accept(ANNA, notify=Notify(on="SUCCESS"))

    await station.delivery.deliver(envelope)

    (report,) = await station.reports_on(envelope.id)
    assert "Action: delivered" in report.as_string()


async def test_a_large_message_goes_to_a_store_in_chunks(station: Station, store: Store) -> None:
    """RFC 2033 §4.3: the last chunk is answered for each recipient."""
    await _lead(station, f"lmtp:{store.socket}")
    large = MESSAGE + b"one more line\r\n" * 100_000
    before = _in_chunks()

    move = await station.delivery.deliver(await station.accept(ANNA, BERT, octets=large))

    assert move == Ack()
    assert _in_chunks() == before + 1
    for user in (ANNA, BERT):
        (message,) = store.messages(user)
        assert message.endswith(large.replace(b"\r\n", b"\n"))


def _in_chunks() -> float:
    """Return how many messages went by BDAT so far."""
    sample = "posthouse_remote_contents_total", {"command": "bdat"}
    return prometheus_client.REGISTRY.get_sample_value(*sample) or 0.0
