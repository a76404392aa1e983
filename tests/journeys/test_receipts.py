"""Authors who ask what became of their mail, and are told (RFC 3461), through the whole house."""

import secrets
from email import message_from_bytes
from email.message import Message

import pytest

from support.letters import letter
from support.outside_world import OutsideWorld, Sink
from support.stack import House

pytestmark = pytest.mark.journey

ALL = ["NOTIFY=SUCCESS,FAILURE,DELAY", "ORCPT=rfc822;Someone+2Bx@Else.test"]
ENVID = "ENVID=QQ+3D314"


@pytest.fixture
def domain() -> str:
    return f"d{secrets.token_hex(3)}.test"


@pytest.fixture
def sink(world: OutsideWorld, domain: str) -> Sink:
    server = world.server()
    world.domain(domain, server)
    return server


def _reports(house: House, author: tuple[str, str], count: int = 1) -> list[Message]:
    """Return the reports to ``author``, whose INBOX holds nothing else."""
    return [message_from_bytes(octets) for octets in house.await_messages(author, count)]


def _groups(report: Message) -> list[Message]:
    """Return the fields of the message, then those of each recipient."""
    assert report.get_content_type() == "multipart/report"
    (status,) = [p for p in report.walk() if p.get_content_type() == "message/delivery-status"]
    return [group for group in status.walk() if group is not status]


def test_the_arrival_in_a_mailbox_is_told_with_what_the_author_called_it(house: House) -> None:
    author, reader = house.account(), house.account()

    house.submit(author, [reader[0]], letter("hello", author[0]), [ENVID, "RET=FULL"], ALL)

    (report,) = _reports(house, author)
    about, recipient = _groups(report)
    assert report["Return-Path"] == "<>"
    assert about["Original-Envelope-Id"] == "QQ=314"
    assert recipient["Original-Recipient"] == "rfc822; Someone+x@Else.test"
    assert (recipient["Final-Recipient"], recipient["Action"]) == (
        f"rfc822; {reader[0]}",
        "delivered",
    )
    assert len(house.messages(reader)) == 1


def test_an_alias_of_several_is_told_once_and_its_members_are_not(house: House) -> None:
    author, one, two = house.account(), house.account(), house.account()
    alias = f"alias-{secrets.token_hex(3)}@example.test"
    house.ask("PUT", f"/aliases/{alias}", json={"targets": [one[0], two[0]]})

    house.submit(author, [alias], letter("all", author[0]), (), ALL)

    house.await_messages(one, 1)
    house.await_messages(two, 1)
    (report,) = _reports(house, author)
    _, recipient = _groups(report)
    assert (recipient["Final-Recipient"], recipient["Action"]) == (f"rfc822; {alias}", "expanded")


def test_a_failure_brings_the_mail_back_or_nothing(house: House, sink: Sink, domain: str) -> None:
    sink.start("-f", "rcpt")
    author = house.account()
    to = [f"you@{domain}"]
    house.submit(author, to, letter("nobody wants this back", author[0]), (), ["NOTIFY=NEVER"])

    house.submit(author, to, letter("back to me", author[0]), ["RET=FULL"], ALL)

    (report,) = _reports(house, author)
    _, recipient = _groups(report)
    whole = report.get_payload(2)
    assert isinstance(whole, Message)
    assert whole.get_content_type() == "message/rfc822"
    assert "Subject: back to me" in whole.as_string()
    assert recipient["Action"] == "failed"


def test_secret_mail_stays_where_it_is_safe(house: House, sink: Sink, domain: str) -> None:
    sink.start()
    author, reader = house.account(), house.account()

    people = [reader[0], f"you@{domain}"]
    house.submit(author, people, letter("secret", author[0]), ["REQUIRETLS"])

    (report,) = _reports(house, author)
    _, recipient = _groups(report)
    assert (recipient["Final-Recipient"], recipient["Status"]) == (
        f"rfc822; you@{domain}",
        "5.7.30",
    )
    assert len(house.await_messages(reader, 1)) == 1
    assert sink.letters() == []
