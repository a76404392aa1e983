"""What servers outside see as the sender, and what their refusals lead to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from delivery_remote.return_paths import ReturnAddresses
from posthouse.bus.moves import Ack, Wait
from posthouse.mail.address import parse_address
from posthouse.mail.envelope import Remote
from posthouse.mail.return_path import Returned
from posthouse.storage import directory
from posthouse.storage.directory.senders import Sender, set_sender
from posthouse.storage.suppressing import suppressions
from support.remote import RETURN_PATHS, Station

pytestmark = pytest.mark.integration

ANNA = "anna@example.test"


@pytest.fixture(autouse=True)
async def _house(station: Station) -> None:
    await directory.add_domain(station.pool, "example.test")


def _paths(commands: list[str]) -> list[str]:
    mails = [line for line in commands if line.startswith("MAIL FROM:<")]
    return [line.partition("<")[2].partition(">")[0] for line in mails]


def _read(path: str) -> Returned | None:
    return RETURN_PATHS.read(parse_address(path), datetime.now(UTC).date())


async def test_a_sender_is_shown_as_it_is_unless_somebody_says_otherwise(station: Station) -> None:
    peer = await station.server()
    station.domain("b.test", peer.host)

    await station.delivery.deliver(await station.accept("bert@b.test"))

    assert _paths(peer.commands) == [ANNA]


async def test_a_signed_return_path_is_the_same_for_all_recipients_and_attempts(
    station: Station,
) -> None:
    await set_sender(station.pool, "example.test", Sender(return_path="signed"))
    peer = await station.server(RCPT=["450 4.2.0 busy", "450 4.2.0 busy", "250 ok"])
    station.domain("b.test", peer.host)
    envelope = await station.accept("bert@b.test", "carl@b.test")

    later = await station.delivery.deliver(envelope)
    assert isinstance(later, Wait)
    assert isinstance(later.envelope, Remote)
    await station.time_passes(timedelta(hours=1))
    assert await station.delivery.deliver(later.envelope) == Ack()

    first, second = _paths(peer.commands)
    assert first == second
    assert _read(first) == Returned(owner=ANNA, id=envelope.id)
    assert await station.states(envelope.id) == {0: "relayed", 1: "relayed"}


async def test_with_verp_each_recipient_has_a_transaction_and_a_return_path(
    station: Station,
) -> None:
    await set_sender(station.pool, "example.test", Sender(return_path="verp"))
    peer = await station.server()
    station.domain("b.test", peer.host)
    long = f"{'x' * 40}@b.test"
    envelope = await station.accept("bert@b.test", long)

    assert await station.delivery.deliver(envelope) == Ack()

    assert [_read(path) for path in _paths(peer.commands)] == [
        Returned(owner=ANNA, id=envelope.id, recipient="bert@b.test"),
        Returned(owner=ANNA, id=envelope.id, n=1),
    ]
    assert len(peer.accepted) == 2
    assert await station.states(envelope.id) == {0: "relayed", 1: "relayed"}


async def test_our_own_report_goes_to_the_sender_and_not_to_its_return_path(
    station: Station,
) -> None:
    await set_sender(station.pool, "example.test", Sender(return_path="verp"))
    peer = await station.server(RCPT="550 5.7.1 no")
    station.domain("b.test", peer.host)
    envelope = await station.accept("bert@b.test")

    await station.delivery.deliver(envelope)

    (report,) = await station.reports_on(envelope.id)
    assert report["To"] == ANNA


@pytest.mark.parametrize("sender", ["", "SRS0=x=y=far.test=eve@example.test", "eve@far.test"])
async def test_reports_forwards_and_strangers_have_no_return_path_of_ours(
    station: Station, sender: str
) -> None:
    addresses = ReturnAddresses(station.pool, RETURN_PATHS, "verp")

    assert await addresses.guise_of(await station.accept("bert@b.test", sender=sender)) is None


async def test_who_is_not_there_too_often_is_suppressed(station: Station) -> None:
    await set_sender(station.pool, "example.test", Sender(suppress_after=2))
    peer = await station.server(RCPT=["550 5.1.1 unknown", "550 5.7.1 no", "550 5.1.1 unknown"])
    station.domain("b.test", peer.host)

    for count in (0, 0, 1):
        await station.delivery.deliver(await station.accept("bert@b.test"))
        assert len(await suppressions(station.pool)) == count

    (row,) = await suppressions(station.pool)
    assert (row.address, row.whose, row.reason) == ("bert@b.test", "example.test", "bounces")
    assert row.note == "550 5.1.1 550 5.1.1 unknown"


async def test_without_a_wish_nobody_is_suppressed(station: Station) -> None:
    peer = await station.server(RCPT="550 5.1.1 unknown")
    station.domain("b.test", peer.host)

    for _ in range(3):
        await station.delivery.deliver(await station.accept("bert@b.test"))

    assert await suppressions(station.pool) == ()
