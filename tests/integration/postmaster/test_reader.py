"""Bounces and complaints are read, linked to what was sent, counted once, and acted upon."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from posthouse.authenticity.dkim import Signer, digest_bodies, sign
from posthouse.authenticity.dkim.headers import Header
from posthouse.authenticity.dkim.making import make_pem, record_of
from posthouse.blobs import Blobs, open_blobs
from posthouse.mail.address import parse_address
from posthouse.mail.errors import Unavailable
from posthouse.mail.header import header_end
from posthouse.mail.ids import new_id, object_key
from posthouse.mail.return_path import ReturnPaths
from posthouse.mime.returned import ReturnedMail, read_returned
from posthouse.storage import directory
from posthouse.storage.directory.senders import Sender, set_sender
from posthouse.storage.incoming import IncomingReport, note_incoming
from posthouse.storage.ledger import Branch, Kept, NewMail, enter, routed
from posthouse.storage.pool import Pool
from posthouse.storage.suppressing import Terms, suppressions
from posthouse.storage.trace import timeline
from posthouse.telemetry import metrics
from postmaster.duties import reader as duty
from postmaster.duties.reader import Reader
from support.ledger import a_mail
from support.names import FakeNames

pytestmark = pytest.mark.integration

GOLDEN = Path(__file__).parents[2] / "golden/returned"
ANNA = "anna@example.test"
PATHS = ReturnPaths(b"fedcba9876543210")
ORIGINAL = "<hello-1@example.test>"


@pytest.fixture
async def reader(pool: Pool, tmp_path: Path) -> AsyncIterator[Reader]:
    await directory.add_domain(pool, "example.test")
    await set_sender(pool, "example.test", Sender(suppress_after=1))
    async with open_blobs(f"disk:{tmp_path}") as blobs:
        yield Reader(pool=pool, blobs=blobs, paths=PATHS, terms=Terms(0, timedelta(days=30)))


async def _sent(pool: Pool, *addresses: str) -> NewMail:
    mail = a_mail(*addresses, sender=ANNA)
    await enter(pool, [mail])
    await pool.execute("update envelopes set message_id = $1 where id = $2", ORIGINAL, mail.id)
    out = [
        (mail.id, Kept(n, Branch(road="remote", address=address, domain="far.test")))
        for n, address in enumerate(addresses)
    ]
    await routed(pool, out)
    return mail


async def _came(
    reader: Reader, octets: bytes, subject: UUID | None = None, recipient: int | None = None
) -> UUID:
    mail = a_mail(ANNA, sender="")
    await enter(reader.pool, [mail])
    await reader.blobs.put(object_key(mail.id), octets)
    note = IncomingReport(id=mail.id, size=len(octets), subject=subject, recipient=recipient)
    await note_incoming(reader.pool, [note])
    return mail.id


def _golden(name: str) -> bytes:
    return (GOLDEN / name).read_bytes()


async def _told(pool: Pool, ident: UUID) -> list[tuple[str, int | None, str]]:
    found = await timeline(pool, ident)
    assert found is not None
    return [(e.what, e.recipient, e.detail) for e in found.events if e.service == "postmaster"]


def _read_or_fail(octets: bytes) -> ReturnedMail:
    if octets == b"poison":
        raise ValueError("read badly")
    return read_returned(octets)


async def _kind(pool: Pool, ident: UUID) -> object:
    row = await pool.fetchrow("select kind from incoming_reports where id = $1", ident)
    assert row is not None
    return row["kind"]


async def test_a_bounce_is_told_of_in_both_traces_and_suppresses(
    pool: Pool, reader: Reader
) -> None:
    sent = await _sent(pool, "x@far.test", "bert@far.test")
    report = await _came(reader, _golden("postfix.eml"), sent.id)

    assert await reader.read_all() == 1
    assert await reader.read_all() == 0

    ((what, n, detail),) = await _told(pool, sent.id)
    assert (what, n) == ("bounce came back", 1)
    assert detail.startswith("bert@far.test; failed 5.1.1 550 5.1.1 <nobody@inner.far.test>")
    assert detail.endswith(f"report {report}")
    came = await timeline(pool, report)
    assert came is not None
    assert came.envelope.subject_id == sent.id
    assert f"a report on {sent.id}" in came.events[0].detail
    (row,) = await suppressions(pool)
    assert (row.address, row.whose, row.reason) == ("bert@far.test", "example.test", "bounces")
    assert await _kind(pool, report) == "bounce"


async def test_many_bounces_of_one_mail_count_once(pool: Pool, reader: Reader) -> None:
    await set_sender(pool, "example.test", Sender(suppress_after=2))
    sent = await _sent(pool, "nobody@far.test")
    for _ in range(3):
        await _came(reader, _golden("qmail.eml"), sent.id, 0)

    assert await reader.read_all() == 3

    assert len(await _told(pool, sent.id)) == 3
    assert await suppressions(pool) == ()


async def test_who_is_late_or_away_is_not_suppressed(pool: Pool, reader: Reader) -> None:
    sent = await _sent(pool, "bert@far.test")
    await _came(reader, _golden("delayed.eml"), sent.id)
    await _came(reader, _golden("vacation.eml"), sent.id)

    await reader.read_all()

    assert [what for what, _, _ in await _told(pool, sent.id)] == [
        "report came back", "automatic reply came back",
    ]  # fmt: skip
    assert await suppressions(pool) == ()


async def test_a_complaint_is_believed_that_names_a_mail_of_ours_and_its_recipient(
    pool: Pool, reader: Reader
) -> None:
    sent = await _sent(pool, "x@isp.test", "bert@isp.test")
    await _came(reader, _golden("abuse.eml"))

    await reader.read_all()

    ((what, n, detail),) = await _told(pool, sent.id)
    assert (what, n) == ("complaint came in", 1)
    assert detail.startswith("bert@isp.test; abuse; report ")
    (row,) = await suppressions(pool)
    assert (row.address, row.reason) == ("bert@isp.test", "complaint")


@pytest.mark.parametrize(("how", "leads_to"), [("signed", 1), ("not", 0), ("broken", 0)])
async def test_a_complaint_without_our_return_path_suppresses_if_it_is_signed(
    pool: Pool, reader: Reader, how: str, leads_to: int
) -> None:
    sent, pem = await _sent(pool, "bert@isp.test"), make_pem("rsa")
    octets = _golden("abuse.eml").replace(b"\n", b"\r\n")
    start = header_end(octets)
    digest = digest_bodies([octets[start:]], {"simple"})["simple"]
    signer = Signer(domain="isp.test", selector="s", key=pem)
    if how != "not":
        octets = sign(Header(octets[:start]), digest, [signer], datetime.now(UTC)) + octets
    await _came(reader, octets + b"more\r\n" if how == "broken" else octets)
    names = FakeNames({"s._domainkey.isp.test": {"TXT": [record_of(pem)]}})

    await replace(reader, names=names).read_all()

    ((_, _, detail),) = await _told(pool, sent.id)
    assert ("not signed" in detail) == (not leads_to)
    assert len(await suppressions(pool)) == leads_to


@pytest.mark.parametrize("kind", ["not-spam", "auth-failure", "virus"])
async def test_not_everything_an_isp_tells_is_a_complaint(
    pool: Pool, reader: Reader, kind: str
) -> None:
    sent = await _sent(pool, "bert@isp.test")
    await _came(reader, _golden("abuse.eml").replace(b"Type: abuse", f"Type: {kind}".encode()))

    await reader.read_all()

    ((_, _, detail),) = await _told(pool, sent.id)
    assert f"; {kind}; report " in detail
    assert await suppressions(pool) == ()


async def test_a_complaint_that_hides_its_author_is_known_by_the_return_path_it_shows(
    pool: Pool, reader: Reader
) -> None:
    sent = await _sent(pool, "x@isp.test", "bert@isp.test")
    path = PATHS.verp(parse_address(ANNA), sent.id, 1, "bert@isp.test")
    assert path is not None
    shown = f"Original-Mail-From: <{path}>".encode()
    redacted = _golden("abuse.eml").replace(b"bert@isp.test", b"redacted@isp.test")
    redacted = redacted.replace(b"Original-Mail-From: <anna@example.test>", shown)
    await _came(reader, redacted.replace(b"hello-1", b"unknown"))

    await reader.read_all()

    assert [n for _, n, _ in await _told(pool, sent.id)] == [1]
    assert [row.address for row in await suppressions(pool)] == ["bert@isp.test"]


@pytest.mark.parametrize("name", ["abuse.eml", "postfix.eml"])
async def test_what_anybody_could_have_written_leads_to_nothing(
    pool: Pool, reader: Reader, name: str
) -> None:
    """A recipient of another's; a bounce that names a Message-ID, but came to no return path."""
    sent = await _sent(pool, "x@far.test", "y@far.test")
    report = await _came(reader, _golden(name))

    await reader.read_all()

    assert await _told(pool, sent.id) == []
    assert await suppressions(pool) == ()
    assert await _kind(pool, report) in {"bounce", "complaint"}


async def test_a_report_whose_octets_are_gone_is_done_with(pool: Pool, reader: Reader) -> None:
    note = IncomingReport(id=new_id(), size=7, subject=new_id())
    await note_incoming(pool, [note])

    assert await reader.read_all() == 1

    assert await _kind(pool, note.id) == "gone"


async def test_an_outage_is_no_attempt(
    pool: Pool, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = await _sent(pool, "bert@far.test")
    await _came(reader, _golden("postfix.eml"), sent.id)

    async def away(_blobs: Blobs, *_: object) -> bytes:
        raise Unavailable("the object store is away")

    with monkeypatch.context() as outage:
        outage.setattr(type(reader.blobs), "get_range", away)
        for _ in range(7):
            with pytest.raises(Unavailable):
                await reader.read_all()
    assert await reader.read_all() == 1
    assert len(await _told(pool, sent.id)) == 1


async def test_a_report_that_makes_us_fail_ends_nothing_and_is_tried_five_times(
    pool: Pool, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = await _sent(pool, "bert@far.test")
    poison = await _came(reader, b"poison", sent.id)
    report = await _came(reader, _golden("postfix.eml"), sent.id)

    monkeypatch.setattr(duty, "read_returned", _read_or_fail)
    with capture_logs() as lines:
        rounds = [await reader.read_all() for _ in range(7)]
    await reader.tidy(timedelta(days=1))

    assert rounds == [1, 0, 0, 0, 0, 0, 0]
    failures = [line for line in lines if line["event"] == "report not read"]
    assert [(line["envelope"], line["log_level"]) for line in failures] == [
        (str(poison), "error")
    ] * 5
    assert [await _kind(pool, each) for each in (poison, report)] == [None, "bounce"]
    assert "posthouse_postmaster_reports_abandoned 1.0" in metrics.exposition().decode()


async def test_a_round_ends_after_many_failures(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    for octets in (b"poison", b"poison", b"good"):
        await _came(reader, octets)

    monkeypatch.setattr(duty, "read_returned", _read_or_fail)
    monkeypatch.setattr(duty, "FAILURES_MAX", 2)
    rounds = [await reader.read_all() for _ in range(6)]

    assert rounds == [0, 0, 0, 0, 0, 1]


async def test_what_was_read_is_counted_by_what_it_was(pool: Pool, reader: Reader) -> None:
    sent = await _sent(pool, "bert@far.test")
    await _came(reader, _golden("postfix.eml"), sent.id)
    before = metrics.exposition().decode()

    await reader.read_all()
    await reader.tidy(timedelta(0))

    line = 'posthouse_postmaster_reports_read_total{kind="bounce",linked="yes"}'
    count = float(before.partition(line)[2].split()[0]) if line in before else 0.0
    assert f"{line} {count + 1}" in metrics.exposition().decode()
    assert await pool.fetchval("select count(*) from incoming_reports") == 0
