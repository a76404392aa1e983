"""What comes back: in the author's language, linked to what was sent, and never made up."""

from __future__ import annotations

import secrets
import smtplib
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from support.letters import letter, on_the_wire
from support.outside_world import OutsideWorld, Sink
from support.scripted_smtp import Peer
from support.signatures import broken_signatures
from support.stack import House, eventually

pytestmark = pytest.mark.journey

GOLDEN = Path(__file__).parents[1] / "golden/returned"
FEEDBACK = "fbl@example.test"
SOON = 60  # seconds; other journeys run beside
HOST = "mail.example.test"


@dataclass
class Office:
    """A domain of its own with one author."""

    house: House
    domain: str
    author: tuple[str, str]

    def sends(self, **how: object) -> None:
        self.house.ask("PATCH", f"/senders/{self.domain}", json=how)

    def reports(self) -> list[EmailMessage]:
        return [_read(octets) for octets in self.house.messages(self.author)]

    def sent(self) -> dict[str, Any]:
        """Return the newest mail of the author as the trace tells of it."""
        found = self.house.ask("GET", f"/trace?sender={self.author[0]}&limit=1")["items"][0]
        return self.house.ask("GET", f"/trace/{found['id']}")

    def told(self, what: str) -> list[dict[str, Any]]:
        return [event for event in self.sent()["events"] if event["what"] == what]

    def await_told(self, what: str) -> dict[str, Any]:
        return eventually(lambda: self.told(what), bool, within=SOON)[0]


@pytest.fixture
def office(house: House) -> Office:
    domain = f"amt-{secrets.token_hex(3)}.test"
    author = (f"anna@{domain}", secrets.token_hex(12))
    house.ask("POST", "/domains", json={"domain": domain})
    house.ask("POST", "/accounts", json={"address": author[0], "password": author[1]})
    return Office(house, domain, author)


@pytest.fixture
def far(world: OutsideWorld) -> Iterator[tuple[str, Sink]]:
    domain, sink = f"far-{secrets.token_hex(3)}.test", world.server()
    world.domain(domain, sink)
    sink.start()
    yield domain, sink
    sink.stop()


@pytest.fixture
def refusing(world: OutsideWorld) -> Iterator[tuple[str, Peer]]:
    """A server that knows nobody."""
    domain, place = f"gone-{secrets.token_hex(3)}.test", world.server()
    world.domain(domain, place)
    refusal = "550 5.1.1 <nobody>: Recipient address rejected: User unknown"
    with world.scripted(place, RCPT=refusal) as peer:
        yield domain, peer


def _read(octets: bytes) -> EmailMessage:
    read = message_from_bytes(octets, policy=policy.default)
    assert isinstance(read, EmailMessage)
    return read


def _return_path(sink: Sink) -> str:
    (arrived,) = sink.await_letters()
    return str(arrived["X-Mail-Args"]).partition("<")[2].partition(">")[0]


def _came(name: str, old: str, new: str) -> bytes:
    """Return what another server writes, with ``new`` in place of ``old``."""
    text = (GOLDEN / name).read_text()
    assert old in text
    return on_the_wire(text.replace(old, new).encode())


def test_a_german_hears_in_german_that_nobody_is_there(
    house: House, office: Office, refusing: tuple[str, Peer]
) -> None:
    office.sends(language="de")
    domain, peer = refusing

    house.submit(office.author, [f"bert@{domain}"], letter("Hallo", office.author[0]))

    (report,) = eventually(office.reports, bool, within=SOON)
    text, status, _ = report.iter_parts()
    assert report["Subject"] == "Ihre Nachricht konnte nicht zugestellt werden"
    assert report["From"] == "Mailsystem <MAILER-DAEMON@mail.example.test>"
    assert report["Return-Path"] == "<>"
    assert text["Content-Language"] == "de"
    assert "Dieses Postfach gibt es nicht" in text.get_content()
    assert "User unknown" in text.get_content()
    assert b"Status: 5.1.1" in bytes(status)
    assert b"".join(peer.accepted) == b""


def test_a_bounce_to_the_world_is_signed_by_both_keys(
    house: House, office: Office, world: OutsideWorld, refusing: tuple[str, Peer]
) -> None:
    made = house.ask("POST", "/dkim/keys", json={"domain": HOST, "algorithm": "both"})["items"]
    for key in made:
        house.ask("POST", f"/dkim/keys/{HOST}/{key['selector']}/activate?force=true")
    records = {key["name"]: key["record"] for key in made}
    domain, place = f"far-{secrets.token_hex(3)}.test", world.server()
    world.domain(domain, place)
    list_ = f"list@{office.domain}"
    house.ask("PUT", f"/aliases/{list_}", json={"targets": [f"nobody@{refusing[0]}"]})

    with world.scripted(place) as peer:

        def bounced() -> list[bytes]:
            house.send(f"eve@{domain}", [list_], letter("To all", f"eve@{domain}"))
            eventually(lambda: peer.accepted, bool, within=SOON)
            found = [octets for octets in peer.accepted if octets.count(b"DKIM-Signature:") > 1]
            peer.accepted.clear()
            return found

        # Who sends reports looks for new keys every few seconds.
        bounce = eventually(bounced, bool, within=SOON)[0]

    assert b"<MAILER-DAEMON@mail.example.test>\r\n" in bounce.partition(b"\r\n\r\n")[0]
    assert broken_signatures(bounce, records) == []


def test_a_complaint_is_told_of_and_its_author_is_left_alone(
    house: House, office: Office, far: tuple[str, Sink]
) -> None:
    domain, sink = far
    reader = f"bert@{domain}"
    house.ask("PUT", f"/aliases/{FEEDBACK}", json={"targets": [house.account()[0]]})
    house.ask("PUT", f"/suppressions/nobody@{domain}/*", json={})  # a list that is not empty
    office.sends(return_path="verp", suppress_after=2)
    house.submit(office.author, [reader], letter("earn money", office.author[0]))
    path = _return_path(sink)
    assert path.startswith("anna+")
    assert path.endswith(f"+bert={domain}@{office.domain}")

    field = "Original-Mail-From: "
    complaint = _came("abuse.eml", f"{field}<anna@example.test>", f"{field}<{path}>")
    house.send("fbl@isp.test", [FEEDBACK], complaint)

    event = office.await_told("complaint came in")
    assert event["detail"].startswith(f"{reader}; abuse; report ")
    (row,) = house.ask("GET", f"/suppressions?address={reader}")["items"]
    assert (row["whose"], row["reason"]) == (office.domain, "complaint")
    told = eventually(lambda: house.asks_for(office.author, reader), _is_refusal, within=SOON)
    assert told == (550, b"5.7.1 Suppression list: this recipient complained of earlier mail")
    assert len(sink.letters()) == 1


def _is_refusal(told: tuple[int, bytes]) -> bool:
    return told[0] >= 500


def test_a_bounce_from_outside_is_told_of_in_the_trace_of_what_was_sent(
    house: House, office: Office, far: tuple[str, Sink]
) -> None:
    domain, sink = far
    office.sends(return_path="signed")
    house.submit(office.author, [f"bert@{domain}"], letter("hello", office.author[0]))
    path = _return_path(sink)

    house.send("", [path], _came("postfix.eml", "bert@far.test", f"bert@{domain}"))

    event = office.await_told("bounce came back")
    assert event["detail"].startswith(f"bert@{domain}; failed 5.1.1 550 5.1.1")
    (delivered,) = eventually(office.reports, bool, within=SOON)
    assert delivered["Subject"] == "Undelivered Mail Returned to Sender"
    assert delivered["Delivered-To"] == office.author[0]
    report = house.ask("GET", f"/trace/{event['detail'].rpartition(' ')[2]}")
    assert report["envelope"]["subject_id"] == office.sent()["envelope"]["id"]


def test_a_made_up_bounce_is_refused_at_the_door(
    house: House, office: Office, far: tuple[str, Sink]
) -> None:
    domain, sink = far
    office.sends(return_path="signed", signed_only=True)
    house.submit(office.author, [f"bert@{domain}"], letter("hello", office.author[0]))
    path = _return_path(sink)
    local, _, rest = path.partition("@")
    forged = f"{local[:-1]}{'a' if local[-1] != 'a' else 'b'}@{rest}"

    for address in (office.author[0], forged):
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            house.send("", [address], letter("you never sent this"))
        code, text = refused.value.recipients[address]
        assert (code, text[:5]) == (550, b"5.7.1")
    house.send("", [path], letter("a true one"))
    house.send("carl@elsewhere.test", [office.author[0]], letter("an ordinary one"))

    eventually(office.reports, lambda found: len(found) == 2, within=SOON)
