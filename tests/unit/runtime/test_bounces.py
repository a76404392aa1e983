"""Who is told of a failure, and what the ledger is given for it."""

from __future__ import annotations

import email
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from email.message import Message
from pathlib import Path

import msgspec
import pytest

from posthouse.blobs import Blobs, open_blobs
from posthouse.mail.envelope import InboundRecipient, Remote
from posthouse.mail.handling import PLAIN, Handling
from posthouse.mail.ids import new_id
from posthouse.mail.outcome import Bounced, Deferred, Discarded, Relayed
from posthouse.mail.report import Fate
from posthouse.mail.status import NO_SUCH_USER, OK, Status
from posthouse.runtime.bounces import Reporter, endings, prepare_report

OCTETS = b"Received: here\r\nSubject: Hello\r\n\r\nthe body\r\n"
FAILURE = Fate(address="bert@b.test", status=NO_SUCH_USER, reply="550 5.1.1 unknown", host="mx")
DELAY = Fate(
    address="bert@b.test", status=Status(451, (4, 4, 1)), reply="refused", action="delayed"
)
ARRIVED = Fate(address="bert@b.test", status=OK, action="delivered")
BOUNCED = Bounced(n=0, status=NO_SUCH_USER, reply="550 unknown")


@pytest.fixture
async def blobs(tmp_path: Path) -> AsyncIterator[Blobs]:
    async with open_blobs(f"disk:{tmp_path}") as opened:
        yield opened


@pytest.fixture
def reporter(blobs: Blobs) -> Reporter:
    return Reporter(
        blobs=blobs, hostname="mx.example.test", double_bounce_address="ops@example.test"
    )


async def _message(
    blobs: Blobs, sender: str, handling: Handling = PLAIN, octets: bytes = OCTETS
) -> Remote:
    message = Remote(
        id=new_id(),
        sender=sender,
        size=len(octets),
        domain="b.test",
        handling=handling,
        recipients=(InboundRecipient(n=0, address="bert@b.test"),),
    )
    await blobs.put(message.blob, octets)
    return message


async def test_a_report_is_stored_and_goes_from_nobody_to_the_sender(
    reporter: Reporter, blobs: Blobs
) -> None:
    message = await _message(blobs, "anna@a.test")

    mail = await prepare_report(reporter, message, [FAILURE])

    assert mail is not None
    assert mail.sender == mail.envelope.sender == ""
    assert mail.origin == "bounce"
    assert mail.subject_id == message.id
    assert [each.address for each in mail.recipients] == ["anna@a.test"]
    octets = await blobs.get(mail.envelope.blob)
    assert len(octets) == mail.size == mail.envelope.size
    assert b"Subject: Hello" in octets
    assert b"the body" not in octets
    assert email.message_from_bytes(octets)["Message-ID"] == mail.message_id
    assert mail.envelope.summary is not None
    assert octets.startswith(mail.envelope.summary.header)


async def test_the_sender_is_told_even_if_the_message_is_gone(
    reporter: Reporter, blobs: Blobs
) -> None:
    message = await _message(blobs, "anna@a.test")
    await blobs.delete([message.blob])

    assert await prepare_report(reporter, message, [FAILURE]) is not None


async def test_without_failures_there_is_nothing_to_tell(reporter: Reporter, blobs: Blobs) -> None:
    assert await prepare_report(reporter, await _message(blobs, "anna@a.test"), []) is None


async def test_nobody_is_warned_of_the_delay_of_a_bounce(reporter: Reporter, blobs: Blobs) -> None:
    message = await _message(blobs, "")

    until = datetime.now(UTC)
    assert await prepare_report(reporter, message, [DELAY], retry_until=until) is None


async def test_a_double_bounce_is_told_to_the_operator_and_never_a_third_time(
    reporter: Reporter, blobs: Blobs
) -> None:
    bounce = await _message(blobs, "")

    double = await prepare_report(reporter, bounce, [FAILURE])

    assert double is not None
    assert [each.address for each in double.recipients] == ["ops@example.test"]
    third = await _message(blobs, double.sender)  # as it travels on, to wherever an alias leads
    assert await prepare_report(reporter, third, [FAILURE]) is None
    assert endings(reporter, bounce, [BOUNCED]) == (BOUNCED,)
    assert endings(reporter, third, [BOUNCED]) == (Discarded(n=0, rule="double bounce"),)


async def test_what_can_be_told_to_nobody_is_discarded_by_name(blobs: Blobs) -> None:
    silent = Reporter(blobs=blobs, hostname="mx.example.test")
    message = await _message(blobs, "")
    relayed = Relayed(n=1, host="mx", reply="250 ok")
    deferred = Deferred(n=2, status=DELAY.status, reply="later", until=datetime.now(UTC))

    assert await prepare_report(silent, message, [FAILURE]) is None
    assert endings(silent, message, [BOUNCED, relayed, deferred]) == (
        Discarded(n=0, rule="double bounce"),
        relayed,
        deferred,
    )


def _last_part(octets: bytes) -> Message:
    payload = email.message_from_bytes(octets).get_payload()
    assert isinstance(payload, list)
    assert isinstance(payload[-1], Message)
    return payload[-1]


FULL = Handling(ret="FULL", envid="QQ+3D1")


async def test_who_wants_the_mail_back_gets_all_of_it(reporter: Reporter, blobs: Blobs) -> None:
    message = await _message(blobs, "anna@a.test", FULL)

    mail = await prepare_report(reporter, message, [FAILURE])

    assert mail is not None
    octets = await blobs.get(mail.envelope.blob)
    assert _last_part(octets).get_content_type() == "message/rfc822"
    assert OCTETS in octets
    assert b"\r\nOriginal-Envelope-Id: QQ=1\r\n" in octets


@pytest.mark.parametrize(
    ("handling", "octets"),
    [
        (Handling(ret="HDRS"), OCTETS),
        (Handling(ret="FULL", requiretls=True), OCTETS),  # RFC 8689 §5
        (FULL, OCTETS + 100_000 * b"x\r\n"),  # larger than goes back
        (FULL, OCTETS + 999 * b"x" + b"\r\n"),
        (FULL, OCTETS + b"bare\nline end\r\n"),
        (FULL, OCTETS + b"nul\0\r\n"),
    ],
)
async def test_otherwise_the_header_goes_back(
    blobs: Blobs, handling: Handling, octets: bytes
) -> None:
    reporter = Reporter(blobs=blobs, hostname="mx.example.test", return_octets_max=100_000)
    message = await _message(blobs, "anna@a.test", handling, octets)

    mail = await prepare_report(reporter, message, [FAILURE])

    assert mail is not None
    octets = await blobs.get(mail.envelope.blob)
    assert _last_part(octets).get_content_type() == "text/rfc822-headers"
    assert b"the body" not in octets


async def test_only_a_failure_brings_the_mail_back(reporter: Reporter, blobs: Blobs) -> None:
    message = await _message(blobs, "anna@a.test", FULL)

    mail = await prepare_report(reporter, message, [ARRIVED])

    assert mail is not None
    assert b"the body" not in await blobs.get(mail.envelope.blob)


async def test_nobody_is_told_that_a_bounce_arrived(reporter: Reporter, blobs: Blobs) -> None:
    assert await prepare_report(reporter, await _message(blobs, ""), [ARRIVED]) is None


async def test_eight_bit_mail_goes_back_as_eight_bit(reporter: Reporter, blobs: Blobs) -> None:
    grown = OCTETS + "Grüße\r\n".encode()
    message = await _message(blobs, "anna@a.test", FULL, grown)

    mail = await prepare_report(reporter, message, [FAILURE])

    assert mail is not None
    assert mail.body == mail.envelope.body == "8BITMIME"
    octets = await blobs.get(mail.envelope.blob)
    assert _last_part(octets)["Content-Transfer-Encoding"] == "8bit"
    assert grown in octets


async def test_a_large_mail_goes_back_as_well(reporter: Reporter, blobs: Blobs) -> None:
    large = OCTETS + 9_000 * (b"x" * 98 + b"\r\n")
    message = await _message(blobs, "anna@a.test", FULL, large)

    mail = await prepare_report(reporter, message, [FAILURE])

    assert mail is not None
    assert large in await blobs.get(mail.envelope.blob)


async def test_a_report_on_a_secret_mail_is_as_secret(reporter: Reporter, blobs: Blobs) -> None:
    message = await _message(blobs, "anna@a.test", Handling(requiretls=True, envid="1"))

    mail = await prepare_report(reporter, message, [FAILURE])

    assert mail is not None
    assert mail.handling == mail.envelope.handling == Handling(requiretls=True)


async def test_the_one_who_is_told_chooses_the_language(blobs: Blobs) -> None:
    async def language_of(address: str) -> str | None:
        return {"anna@a.test": "DE", "carl@a.test": "tlh"}.get(address)

    reporter = Reporter(blobs=blobs, hostname="mx.example.test", language_of=language_of)
    german = replace(reporter, language="de")

    async def subject(to: str, by: Reporter) -> str:
        mail = await prepare_report(by, await _message(blobs, to), [FAILURE])
        assert mail is not None
        return str(email.message_from_bytes(await blobs.get(mail.envelope.blob))["Subject"])

    ours, theirs = (
        "Ihre Nachricht konnte nicht zugestellt werden",
        "Your mail could not be delivered",
    )
    assert await subject("anna@a.test", reporter) == ours
    assert await subject("bert@a.test", reporter) == theirs
    assert await subject("carl@a.test", reporter) == theirs  # nobody speaks that here any more
    assert await subject("carl@a.test", german) == ours


async def test_reports_come_from_the_address_the_operator_names(blobs: Blobs) -> None:
    reporter = Reporter(blobs=blobs, hostname="mx.example.test", author="bounce@example.test")

    mail = await prepare_report(reporter, await _message(blobs, "anna@a.test"), [FAILURE])

    assert mail is not None
    octets = await blobs.get(mail.envelope.blob)
    assert b"From: Mail Delivery System <bounce@example.test>" in octets
    assert b"Reporting-MTA: dns; mx.example.test" in octets


async def test_a_sender_who_used_smtputf8_gets_a_global_report(
    reporter: Reporter, blobs: Blobs
) -> None:
    message = msgspec.structs.replace(await _message(blobs, "anna@a.test"), smtputf8=True)

    mail = await prepare_report(reporter, message, [FAILURE])

    assert mail is not None
    octets = await blobs.get(mail.envelope.blob)
    assert b"Content-Type: message/global-delivery-status" in octets
    assert (mail.smtputf8, mail.body) == (False, "7BIT")
