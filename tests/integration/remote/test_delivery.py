"""One envelope at a time: what the world gets, what the ledger knows, what the sender is told."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from delivery_remote.delivery import Delivery
from posthouse.bus.moves import Ack, Wait
from posthouse.mail.envelope import Remote
from posthouse.mail.errors import MissingObject
from posthouse.storage.trace import timeline
from support.outside import MESSAGE
from support.remote import SECONDS, Station
from support.scripted_smtp import DROP, HANG

pytestmark = pytest.mark.integration

STUFFED = MESSAGE.replace(b"\r\n.", b"\r\n..")


async def test_what_was_stored_is_what_the_world_gets(station: Station) -> None:
    peer = await station.server()
    station.domain("b.test", peer.host)
    envelope = await station.accept("bert@b.test", "carl@b.test")

    move = await station.delivery.deliver(envelope)

    assert move == Ack()
    assert peer.accepted == [STUFFED]
    assert await station.states(envelope.id) == {0: "relayed", 1: "relayed"}
    assert "RCPT TO:<carl@b.test>" in peer.commands


async def test_a_settled_envelope_that_comes_again_is_not_sent_again(station: Station) -> None:
    peer = await station.server()
    station.domain("b.test", peer.host)
    envelope = await station.accept("bert@b.test")
    await station.delivery.deliver(envelope)

    assert await station.delivery.deliver(envelope) == Ack()

    assert len(peer.accepted) == 1


async def test_only_the_open_recipients_of_an_envelope_are_served_again(station: Station) -> None:
    peer = await station.server(RCPT=["250 ok", "450 4.2.0 greylisted", "250 ok"])
    station.domain("b.test", peer.host)
    envelope = await station.accept("bert@b.test", "carl@b.test")
    await station.delivery.deliver(envelope)
    await station.time_passes(timedelta(hours=1))

    current = await station.delivery.deliver(envelope)  # the old envelope, with both
    assert isinstance(current, Wait)
    assert isinstance(current.envelope, Remote)
    await station.delivery.deliver(current.envelope)

    rcpts = [command for command in peer.commands if command.startswith("RCPT")]
    assert rcpts == ["RCPT TO:<bert@b.test>", "RCPT TO:<carl@b.test>", "RCPT TO:<carl@b.test>"]
    assert await station.states(envelope.id) == {0: "relayed", 1: "relayed"}


async def test_what_must_wait_waits_and_arrives_later(station: Station) -> None:
    peer = await station.server(dot=["451 4.3.0 not now", "250 2.0.0 taken"])
    station.domain("b.test", peer.host)
    envelope = await station.accept("bert@b.test")

    waiting = await station.delivery.deliver(envelope)

    assert isinstance(waiting, Wait)
    assert waiting.delay == 5 * SECONDS
    assert await station.states(envelope.id) == {0: "deferred"}
    again = waiting.envelope
    assert again == msgspec.structs.replace(envelope, attempts=1)
    assert await station.delivery.deliver(again) == Ack()
    assert await station.states(envelope.id) == {0: "relayed"}


async def test_each_recipient_ends_by_itself_and_the_sender_hears_of_who_failed(
    station: Station,
) -> None:
    rcpt = ["250 ok", "550 5.1.1 no such user here", "450 4.2.0 greylisted"]
    peer = await station.server(RCPT=rcpt)
    station.domain("b.test", peer.host)
    envelope = await station.accept("a@b.test", "b@b.test", "c@b.test")

    move = await station.delivery.deliver(envelope)

    assert isinstance(move, Wait)
    assert await station.states(envelope.id) == {0: "relayed", 1: "bounced", 2: "deferred"}
    (report,) = await station.reports_on(envelope.id)
    assert report["To"] == "anna@example.test"
    assert report["From"] == "Mail Delivery System <MAILER-DAEMON@mail.example.test>"
    text = report.as_string()
    assert "Final-Recipient: rfc822; b@b.test" in text
    assert "no such user here" in text
    assert "Subject: Hello" in text
    assert "a@b.test" not in text
    assert "c@b.test" not in text


async def test_a_report_is_published_after_its_commit(station: Station) -> None:
    station.zone.records["null.test"] = ["MX 0 ."]
    envelope = await station.accept("bert@null.test")
    await station.delivery.deliver(envelope)

    await station.parts.books.outbox.__aexit__(None, None, None)  # what it has is sent first

    (published,) = station.post.sent
    assert published.sender == ""
    assert [each.address for each in published.recipients] == ["anna@example.test"]
    left = await station.pool.fetchval("select count(*) from unpublished where id = $1",
                                             published.id)  # fmt: skip
    assert left == 0


@pytest.mark.parametrize(
    ("records", "status"),
    [
        ({"b.test": ["MX 0 ."]}, "5.1.10"),
        ({}, "5.1.2"),
        ({"b.test": ["MX 10 gone.b.test"]}, "5.4.4"),
        ({"b.test": ["TXT nothing"]}, "5.4.4"),
        ({"b.test": ["MX 10 mail.example.test"]}, "5.4.6"),
        ({"b.test": ["MX 10 mail.example.test", "MX 20 other.b.test"]}, "5.4.6"),
    ],
)
async def test_where_there_is_no_way_mail_bounces(
    station: Station, records: dict[str, list[str]], status: str
) -> None:
    station.zone.records.update(records)
    envelope = await station.accept("bert@b.test")

    assert await station.delivery.deliver(envelope) == Ack()

    (report,) = await station.reports_on(envelope.id)
    assert f"Status: {status}\n" in report.as_string()
    assert await station.states(envelope.id) == {0: "bounced"}


@pytest.mark.parametrize(
    "records",
    [
        {"b.test": ["SERVFAIL"]},
        {"b.test": ["MX 10 sick.test"], "sick.test": ["SERVFAIL"]},
        {"b.test": ["SILENCE"]},
    ],
)
async def test_where_nobody_can_tell_mail_waits(
    station: Station, records: dict[str, list[str]]
) -> None:
    station.zone.records.update(records)
    envelope = await station.accept("bert@b.test")

    move = await station.delivery.deliver(envelope)

    assert isinstance(move, Wait)
    assert await station.states(envelope.id) == {0: "deferred"}
    assert await station.reports_on(envelope.id) == []


async def test_a_dead_server_is_passed_over_for_the_next(station: Station) -> None:
    peer = await station.server()
    station.domain("b.test", "127.0.0.200", peer.host)
    envelope = await station.accept("bert@b.test")

    assert await station.delivery.deliver(envelope) == Ack()
    assert len(peer.accepted) == 1


async def test_without_mx_the_domain_is_its_own_server(station: Station) -> None:
    peer = await station.server()
    station.zone.records["b.test"] = [f"A {peer.host}"]
    envelope = await station.accept("bert@b.test")

    assert await station.delivery.deliver(envelope) == Ack()
    assert len(peer.accepted) == 1


async def test_an_address_literal_is_its_own_server(station: Station) -> None:
    peer = await station.server()
    envelope = await station.accept(f"bert@[{peer.host}]")

    assert await station.delivery.deliver(envelope) == Ack()
    assert len(peer.accepted) == 1


async def test_a_missing_object_is_for_a_human_and_nobody_is_bothered(station: Station) -> None:
    peer = await station.server()
    station.domain("b.test", peer.host)
    envelope = await station.accept("bert@b.test")
    await station.parts.blobs.delete([envelope.blob])

    with pytest.raises(MissingObject):
        await station.delivery.deliver(envelope)

    assert peer.connections == 0
    assert await station.states(envelope.id) == {0: "routed"}


async def test_a_delay_is_told_once_however_often_the_envelope_comes(station: Station) -> None:
    station.domain("b.test", "127.0.0.200")
    envelope = await station.accept("bert@b.test", age=timedelta(hours=5))

    first = await station.delivery.deliver(envelope)
    await station.delivery.deliver(envelope)  # the broker gave it twice
    assert isinstance(first, Wait)
    assert isinstance(first.envelope, Remote)
    await station.delivery.deliver(first.envelope)

    (report,) = await station.reports_on(envelope.id)
    assert "ONLY A WARNING" in report.as_string()
    assert "Action: delayed" in report.as_string()
    assert "Will-Retry-Until:" in report.as_string()


async def test_when_time_has_run_out_the_sender_is_told(station: Station) -> None:
    station.domain("b.test", "127.0.0.200")
    envelope = await station.accept("bert@b.test", age=timedelta(days=5))

    assert await station.delivery.deliver(envelope) == Ack()

    (report,) = await station.reports_on(envelope.id)
    assert "time ran out: Connection refused" in report.as_string().replace("\n ", " ")
    assert await station.states(envelope.id) == {0: "bounced"}


async def test_a_bounce_is_never_bounced(station: Station) -> None:
    envelope = await station.accept("bert@nowhere.test", sender="")

    assert await station.delivery.deliver(envelope) == Ack()

    assert await station.reports_on(envelope.id) == []
    assert await station.states(envelope.id) == {0: "discarded"}


async def test_a_double_bounce_goes_to_the_operator_and_ends_there(station: Station) -> None:
    books = station.parts.books
    reporter = replace(books.reporter, double_bounce_address="post@nowhere.test")
    delivery = Delivery(replace(station.parts, books=replace(books, reporter=reporter)))
    envelope = await station.accept("bert@nowhere.test", sender="")
    own = await station.accept("alias@nowhere.test", sender=reporter.double_bounce_sender)

    await delivery.deliver(envelope)
    await delivery.deliver(own)

    (report,) = await station.reports_on(envelope.id)
    assert report["To"] == "post@nowhere.test"
    assert await station.states(envelope.id) == {0: "bounced"}
    assert await station.reports_on(own.id) == []
    assert await station.states(own.id) == {0: "discarded"}


async def test_the_trace_tells_what_became_of_each(station: Station) -> None:
    peer = await station.server(RCPT=["250 ok", "550 5.1.1 unknown"])
    station.domain("b.test", peer.host)
    envelope = await station.accept("a@b.test", "b@b.test")
    await station.delivery.deliver(envelope)
    await station.parts.books.trace.__aexit__(None, None, None)  # what it has is written first

    told = await timeline(station.pool, envelope.id)

    assert told is not None
    events = {
        (e.what, e.recipient): e.detail for e in told.events if e.service == "delivery-remote"
    }
    assert events["relayed", 0] == f"mx0.b.test [{peer.host}]: 250 2.0.0 taken (no TLS)"
    assert "550 5.1.1 unknown" in events["bounced", 1]


async def test_silence_after_the_dot_waits_and_is_not_sent_elsewhere(station: Station) -> None:
    first, second = await station.server(dot=DROP), await station.server()
    station.domain("b.test", first.host, second.host)
    envelope = await station.accept("bert@b.test")

    move = await station.delivery.deliver(envelope)

    assert isinstance(move, Wait)
    assert second.connections == 0


async def test_a_destination_that_hangs_does_not_hold_up_others(station: Station) -> None:
    hanging, quick = await station.server(connect=HANG), await station.server()
    station.domain("slow.test", hanging.host)
    station.domain("b.test", quick.host)
    station.parts.destinations.hall.places = 20
    slow = [await station.accept("x@slow.test") for _ in range(30)]
    good = await station.accept("bert@b.test")

    tasks = [asyncio.create_task(station.delivery([each])) for each in slow]
    async with asyncio.timeout(0.9):  # the slow ones take a second at least
        assert await station.delivery([good]) == [Ack()]

    moves = [move for each in await asyncio.gather(*tasks) for move in each]
    assert {type(move) for move in moves} == {Wait}
    onward = [move.envelope for move in moves if isinstance(move, Wait)]
    sent_back = [each for each in onward if isinstance(each, Remote) and not each.attempts]
    assert sent_back, "who would wait for long is sent back at once"
    assert len(quick.accepted) == 1
