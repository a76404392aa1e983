"""Mail that must have arrived in time, on its way out (RFC 2852 §4)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from posthouse.bus.moves import Ack, Wait
from posthouse.mail.handling import Handling, Notify
from support.remote import Station

pytestmark = pytest.mark.integration

MINUTE = timedelta(minutes=1)
KEEPS_TIME = "250-peer.test\n250-DSN\n250 DELIVERBY"


async def test_mode_r_returns_what_is_too_late_and_asks_no_server(station: Station) -> None:
    peer = await station.server(EHLO=KEEPS_TIME)
    station.domain("b.test", peer.host)
    envelope = await station.accept("bert@b.test", handling=Handling(by="60;R"), age=2 * MINUTE)

    assert await station.delivery.deliver(envelope) == Ack()
    assert await station.delivery.deliver(envelope) == Ack()

    (report,) = await station.reports_on(envelope.id)
    status = report.as_string()
    assert "Action: failed" in status
    assert "Status: 5.4.7" in status
    assert "Deliver-By-Date: " in status
    assert await station.states(envelope.id) == {0: "bounced"}
    assert peer.commands == []


async def test_mode_r_in_time_goes_on_with_what_is_left(station: Station) -> None:
    peer = await station.server(EHLO=KEEPS_TIME)
    station.domain("b.test", peer.host)
    envelope = await station.accept("bert@b.test", handling=Handling(by="600;RT"), age=MINUTE)

    await station.delivery.deliver(envelope)

    (mail,) = [command for command in peer.commands if command.startswith("MAIL")]
    seconds, _, mode = mail.partition(" BY=")[2].partition(";")
    assert 500 < int(seconds) <= 540
    assert mode == "RT"
    (report,) = await station.reports_on(envelope.id)  # T: of each handing on
    assert "Action: relayed" in report.as_string()


async def test_mode_r_does_not_go_to_a_server_that_does_not_keep_time(station: Station) -> None:
    peer = await station.server()
    station.domain("b.test", peer.host)
    envelope = await station.accept("bert@b.test", handling=Handling(by="600;R"))

    await station.delivery.deliver(envelope)

    (report,) = await station.reports_on(envelope.id)
    assert "Status: 5.4.7" in report.as_string()
    assert peer.accepted == []


async def test_mode_n_tells_once_and_tries_on(station: Station) -> None:
    peer = await station.server(EHLO=KEEPS_TIME, RCPT="450 4.2.0 greylisted")
    station.domain("b.test", peer.host)
    envelope = await station.accept("bert@b.test", handling=Handling(by="60;N"), age=2 * MINUTE)

    told = await station.delivery.deliver(envelope)
    assert isinstance(told, Wait)
    assert peer.commands == []  # the sender first
    tried = await station.delivery.deliver(envelope)  # the same copy again

    assert isinstance(tried, Wait)
    (report,) = await station.reports_on(envelope.id)
    status = report.as_string()
    assert "Action: delayed" in status
    assert "Status: 4.4.7" in status
    (mail,) = [command for command in peer.commands if command.startswith("MAIL")]
    assert " BY=-6" in mail or " BY=-1" in mail  # the next server need not tell
    assert await station.states(envelope.id) == {0: "deferred"}


@pytest.mark.parametrize(("on", "reports"), [("", 1), ("NEVER", 0)])
async def test_mode_n_tells_who_hands_it_to_a_server_that_will_not(
    station: Station, on: str, reports: int
) -> None:
    peer = await station.server()
    station.domain("b.test", peer.host)
    envelope = await station.accept(
        "bert@b.test", handling=Handling(by="600;N"), notify=Notify(on=on)
    )

    await station.delivery.deliver(envelope)

    assert len(peer.accepted) == 1
    assert [
        ("Action: relayed" in each.as_string()) for each in await station.reports_on(envelope.id)
    ] == [True] * reports
