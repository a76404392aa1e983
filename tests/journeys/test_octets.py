"""The messages of CPython's own email tests: what was accepted is what FETCH and RETR return."""

import poplib

import pytest

from support.letters import below_added_fields, cpython_letters, on_the_wire
from support.stack import House

pytestmark = pytest.mark.journey


def test_every_odd_message_comes_back_octet_for_octet(house: House) -> None:
    reader = house.account()
    sent = [on_the_wire(path.read_bytes()) for path in cpython_letters()]
    assert len(sent) > 40

    for octets in sent:
        house.send("odd@elsewhere.test", [reader[0]], octets)
        house.await_messages(reader, sent.index(octets) + 1)

    found = house.messages(reader)
    assert [
        below_added_fields(one, octets) for one, octets in zip(found, sent, strict=True)
    ] == sent


def test_every_octet_value_survives_the_way_to_imap_and_pop3(house: House) -> None:
    reader = house.account()
    body = b"".join(bytes([n]) * 3 + b"\r\n" for n in range(1, 256) if n not in (10, 13))
    sent = b"Subject: all octets\r\n\r\n" + body + b"..\r\n.\r\n...\r\n"

    house.send("odd@elsewhere.test", [reader[0]], sent)

    (found,) = house.await_messages(reader, 1)
    assert found.endswith(sent)
    client = poplib.POP3_SSL("127.0.0.1", house.port("pop3s"), context=house.trust)
    client.user(reader[0])
    client.pass_(reader[1])
    assert b"\r\n".join(client.retr(1)[1]).endswith(sent.rstrip(b"\r\n"))
    client.quit()
