"""As whom one may send: oneself, and those who have lent their address, told or untold."""

from __future__ import annotations

import smtplib
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest

from support.letters import letter
from support.stack import House, eventually

pytestmark = pytest.mark.journey


def test_a_false_author_is_refused_until_the_address_is_lent(house: House) -> None:
    anna, boss = house.account(), house.account()

    with pytest.raises(smtplib.SMTPDataError) as refused:
        house.submit(anna, [boss[0]], letter("in your name", sender=boss[0]))
    house.ask("PUT", f"/delegates/{boss[0]}/{anna[0]}", {"on_behalf": True})
    sent = letter("on your behalf", sender=boss[0])
    eventually(lambda: _is_taken(house, anna, boss, sent), bool, within=15)

    assert refused.value.smtp_code == 550
    assert b"5.7.1" in bytes(refused.value.smtp_error)  # type: ignore[arg-type]
    (found,) = house.await_messages(boss, 1)
    read = _read(found)
    assert (read["From"], read["Sender"]) == (boss[0], anna[0])


def test_blind_copies_reach_their_readers_and_are_not_told(house: House) -> None:
    anna, open_reader, blind = house.account(), house.account(), house.account()
    sent = f"To: {open_reader[0]}\r\nBcc: {blind[0]}\r\nSubject: psst\r\n\r\nHello.\r\n".encode()

    house.submit(anna, [open_reader[0], blind[0]], sent)

    for reader in (open_reader, blind):
        (found,) = house.await_messages(reader, 1)
        read = _read(found)
        assert (read["From"], read["Bcc"]) == (anna[0], None)
        assert read["Date"]
        assert read["Message-ID"]


def _is_taken(house: House, sender: tuple[str, str], to: tuple[str, str], octets: bytes) -> bool:
    """Submit; False while policy has not heard of the grant."""
    try:
        house.submit(sender, [to[0]], octets)
    except smtplib.SMTPDataError:
        return False
    return True


def _read(octets: bytes) -> EmailMessage:
    read = message_from_bytes(octets, policy=policy.default)
    assert isinstance(read, EmailMessage)
    return read
