"""Routes that end in folders and files of this machine: filed once, or waiting."""

from __future__ import annotations

import asyncio
import mailbox
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Event

import pytest

from delivery_remote.delivery import Delivery
from delivery_remote.folders import Filing, filing, maildir
from delivery_remote.folders.places import write_all
from delivery_remote.octets import open_octets
from delivery_remote.ways import finding
from posthouse.bus.moves import Ack, Move, Wait
from posthouse.mail.envelope import Remote
from posthouse.mail.handling import Notify
from posthouse.mail.hops import parse_hop
from posthouse.storage.directory import Route, set_route
from support.limits import files_of_at_most
from support.outside import MESSAGE
from support.remote import HOSTNAME, Station

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "TABLE_FRESH", timedelta())


@pytest.fixture
def root(station: Station, tmp_path: Path) -> Path:
    folder = tmp_path / "folders"
    folder.mkdir()
    rooted = station.stack.enter_context(Filing(folder, HOSTNAME))
    station.parts = replace(station.parts, filing=rooted)
    return folder


async def _lead(station: Station, hop: str) -> None:
    await set_route(station.pool, Route(domain="classic.test", hops=(parse_hop(hop),)))


async def test_each_recipient_has_a_maildir(station: Station, root: Path) -> None:
    await _lead(station, "maildir:%d/%u,create")
    envelope = await station.accept("Anna@classic.test", "bert@classic.test")

    assert await station.delivery.deliver(envelope) == Ack()

    assert await station.states(envelope.id) == {0: "relayed", 1: "relayed"}
    for name in ("Anna", "bert"):
        reader = mailbox.Maildir(root / "classic.test" / name.lower(), create=False)
        (message,) = reader
        assert message["Return-Path"] == "<anna@example.test>"
        assert message["Delivered-To"] == f"{name}@classic.test"
        assert bytes(message).endswith(MESSAGE.replace(b"\r\n", b"\n"))
    assert list(root.rglob("tmp/*")) == []


async def test_each_recipient_has_an_mbox(station: Station, root: Path) -> None:
    await _lead(station, "mbox:%u,create")
    octets = b"Subject: Hello\r\n\r\nFrom here\r\n"

    for _ in range(2):
        envelope = await station.accept("anna@classic.test", octets=octets, sender="")
        assert await station.delivery.deliver(envelope) == Ack()

    with closing(mailbox.mbox(root / "anna", create=False)) as reader:
        messages = list(reader)
    assert [message["Subject"] for message in messages] == ["Hello", "Hello"]
    assert {message.get_from().split()[0] for message in messages} == {"MAILER-DAEMON"}
    assert messages[0].get_payload() == ">From here\n"
    assert [file.name for file in root.iterdir()] == ["anna"]


@pytest.mark.parametrize("hop", ["maildir:%u,create", "mbox:%u,create"])
async def test_what_was_filed_before_a_death_is_not_filed_again(
    station: Station, root: Path, hop: str
) -> None:
    await _lead(station, hop)
    envelope = await station.accept("anna@classic.test")
    octets = await open_octets(station.parts.blobs, envelope)
    async with station.parts.claims.claim(envelope) as claim:
        assert claim is not None
        await station.parts.filing.file(envelope, parse_hop(hop), octets, claim)

    assert await station.delivery.deliver(envelope) == Ack()

    texts = [file.read_bytes() for file in root.rglob("*") if file.is_file()]
    assert b"".join(texts).count(b"Subject: Hello") == 1
    assert await station.states(envelope.id) == {0: "relayed"}


async def test_a_folder_that_is_not_there_makes_mail_wait(station: Station, root: Path) -> None:
    await _lead(station, "maildir:%u")

    move = await station.delivery.deliver(await station.accept("anna@classic.test"))

    assert isinstance(move, Wait)
    assert list(root.iterdir()) == []


async def test_without_a_root_mail_waits(station: Station) -> None:
    await _lead(station, "maildir:%u,create")
    rootless = station.stack.enter_context(Filing(None, HOSTNAME))
    delivery = Delivery(replace(station.parts, filing=rootless))

    assert isinstance(await delivery.deliver(await station.accept("anna@classic.test")), Wait)


@pytest.mark.parametrize("hop", ["maildir:%u,create", "mbox:%u,create"])
async def test_a_full_disk_makes_mail_wait_and_it_is_filed_once(
    station: Station, root: Path, hop: str
) -> None:
    await _lead(station, hop)
    octets = b"Subject: Hello\r\n\r\n" + b"x" * 200_000
    envelope = await station.accept("anna@classic.test", octets=octets)

    with files_of_at_most(100_000):
        move: Move = await station.delivery.deliver(envelope)
    assert isinstance(move, Wait)
    assert isinstance(move.envelope, Remote)
    await station.time_passes(timedelta(hours=1))
    assert await station.delivery.deliver(move.envelope) == Ack()

    texts = [file.read_bytes() for file in root.rglob("*") if file.is_file()]
    assert [text.count(b"Subject: Hello") for text in texts] == [1]


async def test_what_hangs_makes_mail_wait_and_it_is_filed_once(
    station: Station, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _lead(station, "maildir:%u,create")
    envelope = await station.accept("anna@classic.test")
    goes_on, is_over = Event(), Event()

    def hang(*arguments: object) -> None:
        goes_on.wait()
        monkeypatch.undo()
        write_all(*arguments)  # type: ignore[arg-type]
        is_over.set()

    monkeypatch.setattr(filing, "PATIENCE", timedelta(seconds=0.5))
    monkeypatch.setattr(maildir, "write_all", hang)
    move = await station.delivery.deliver(envelope)
    assert isinstance(move, Wait)
    assert isinstance(move.envelope, Remote)
    goes_on.set()
    await asyncio.to_thread(is_over.wait)
    await station.time_passes(timedelta(hours=1))

    assert await station.delivery.deliver(move.envelope) == Ack()
    assert len(list(mailbox.Maildir(root / "anna", create=False))) == 1


async def test_an_address_that_can_be_no_name_bounces_alone(station: Station, root: Path) -> None:
    await _lead(station, "maildir:%u,create")
    envelope = await station.accept('"../bert"@classic.test', "anna@classic.test")

    await station.delivery.deliver(envelope)

    assert await station.states(envelope.id) == {0: "bounced", 1: "relayed"}
    assert [file.name for file in root.iterdir()] == ["anna"]
    assert not (root.parent / "bert").exists()


async def test_a_name_without_room_for_those_beside_it_bounces(
    station: Station, root: Path
) -> None:
    await _lead(station, "mbox:%u%u%u%u,create")
    fits, too_long = "a" * 53, "b" * 54  # four times: 212 and 216 octets, of 255 with 42 beside
    envelope = await station.accept(f"{fits}@classic.test", f"{too_long}@classic.test")

    await station.delivery.deliver(envelope)

    assert await station.states(envelope.id) == {0: "relayed", 1: "bounced"}
    assert [file.name for file in root.iterdir()] == [fits * 4]


async def test_a_sender_who_wants_to_know_hears_that_it_was_delivered(
    station: Station, root: Path
) -> None:
    await _lead(station, "maildir:%u,create")
    envelope = await station.accept("anna@classic.test", notify=Notify(on="SUCCESS"))

    await station.delivery.deliver(envelope)

    (report,) = await station.reports_on(envelope.id)
    assert "Action: delivered" in report.as_string()
    assert [folder.name for folder in root.iterdir()] == ["anna"]
