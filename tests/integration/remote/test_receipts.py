"""What senders are told of mail that went out, or did not, as they asked (RFC 3461 §5.2)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from posthouse.bus.moves import Ack, Wait
from posthouse.mail.handling import DEFAULT, Handling, Notify
from support.remote import Station

pytestmark = pytest.mark.integration

NEVER, SUCCESS = Notify(on="NEVER"), Notify(on="SUCCESS", orcpt="rfc822;Bert@B.test")
DSN = "250-peer.test\n250-PIPELINING\n250 DSN"
SECRET = Handling(requiretls=True)


async def test_a_server_that_tells_nothing_makes_us_tell_that_it_has_the_mail(
    station: Station,
) -> None:
    peer = await station.server()
    station.domain("b.test", peer.host)
    envelope = await station.accept(
        "bert@b.test", notify=SUCCESS, handling=Handling(envid="QQ+3D1", ret="FULL")
    )

    assert await station.delivery.deliver(envelope) == Ack()
    assert await station.delivery.deliver(envelope) == Ack()  # once more, by mistake

    (report,) = await station.reports_on(envelope.id)
    status = report.as_string()
    assert report["To"] == "anna@example.test"
    assert "Original-Envelope-Id: QQ=1" in status
    assert "Original-Recipient: rfc822; Bert@B.test" in status
    assert "Action: relayed" in status
    assert "Remote-MTA: dns; mx0.b.test" in status
    assert len(peer.accepted) == 1


async def test_who_will_tell_spares_us_the_report(station: Station) -> None:
    peer = await station.server(EHLO=DSN)
    station.domain("b.test", peer.host)
    envelope = await station.accept("bert@b.test", notify=SUCCESS)

    await station.delivery.deliver(envelope)

    assert await station.reports_on(envelope.id) == []
    assert "RCPT TO:<bert@b.test> NOTIFY=SUCCESS ORCPT=rfc822;Bert@B.test" in peer.commands


@pytest.mark.parametrize(
    ("notify", "reports"),
    [(NEVER, 0), (SUCCESS, 0), (Notify(on="DELAY"), 0), (Notify(on="FAILURE"), 1), (DEFAULT, 1)],
)
async def test_a_failure_is_told_to_who_wants_to_know(
    station: Station, notify: Notify, reports: int
) -> None:
    peer = await station.server(RCPT="550 5.1.1 unknown")
    station.domain("b.test", peer.host)
    envelope = await station.accept("bert@b.test", notify=notify)

    await station.delivery.deliver(envelope)

    assert await station.states(envelope.id) == {0: "bounced"}
    assert len(await station.reports_on(envelope.id)) == reports


@pytest.mark.parametrize(
    ("notify", "reports"),
    [(NEVER, 0), (Notify(on="FAILURE"), 0), (Notify(on="DELAY"), 1), (DEFAULT, 1)],
)
async def test_a_delay_is_told_to_who_wants_to_know(
    station: Station, notify: Notify, reports: int
) -> None:
    peer = await station.server(RCPT="450 4.2.0 greylisted")
    station.domain("b.test", peer.host)
    envelope = await station.accept("bert@b.test", notify=notify, age=timedelta(hours=5))

    assert isinstance(await station.delivery.deliver(envelope), Wait)

    assert await station.states(envelope.id) == {0: "deferred"}
    assert len(await station.reports_on(envelope.id)) == reports


@pytest.mark.parametrize("ret", ["FULL", "HDRS"])
async def test_the_mail_comes_back_if_it_is_wanted_back(station: Station, ret: str) -> None:
    peer = await station.server(RCPT="550 5.1.1 unknown")
    station.domain("b.test", peer.host)
    handling = Handling(ret="FULL" if ret == "FULL" else "HDRS")
    envelope = await station.accept("bert@b.test", handling=handling)

    await station.delivery.deliver(envelope)

    (report,) = await station.reports_on(envelope.id)
    last = list(report.walk())[-1]
    assert ("Hello." in last.as_string()) == (ret == "FULL")


async def test_secret_mail_is_not_sent_where_nothing_proves_the_way(station: Station) -> None:
    peer = await station.server()
    station.domain("b.test", peer.host)
    envelope = await station.accept("bert@b.test", handling=SECRET)

    assert await station.delivery.deliver(envelope) == Ack()

    assert peer.connections == 0
    (report,) = await station.reports_on(envelope.id)
    assert "Status: 5.7.30" in report.as_string()


async def test_secret_mail_is_not_sent_without_tls_on_a_proved_way(station: Station) -> None:
    peer = await station.server()
    station.domain("b.test", peer.host)
    station.zone.proved.add("b.test")
    envelope = await station.accept("bert@b.test", handling=SECRET)

    assert await station.delivery.deliver(envelope) == Ack()

    assert [command for command in peer.commands if command.startswith("MAIL")] == []
    (report,) = await station.reports_on(envelope.id)
    assert "Status: 5.7.10" in report.as_string()

    other = await station.accept("bert@b.test")
    assert await station.delivery.deliver(other) == Ack()
    assert len(peer.accepted) == 1
