"""LDAP on the wire: requests as the RFC draws them, answers read or refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.credentials.ldap import messages
from posthouse.credentials.ldap.ber import (
    BadOctets,
    element,
    elements,
    integer,
    length_follows,
    text,
)
from posthouse.credentials.ldap.messages import Entry, Reference, Result, read

SUCCESS = element(0x65, integer(0, 0x0A), text(""), text(""))


def contents(message: bytes) -> bytes:
    [(tag, inner)] = elements(message)
    assert tag == 0x30
    return inner


def answer(octets: bytes, number: int = 7) -> bytes:
    return integer(number) + octets


def test_a_bind_is_written_as_every_client_does() -> None:
    assert messages.bind(1, "cn=a", "pw") == bytes.fromhex(
        "3012 020101 600d 020103 0404636e3d61 80027077"
    )


def test_a_bind_without_a_password_is_never_written() -> None:
    with pytest.raises(ValueError, match="proves nothing"):
        messages.bind(1, "cn=a", "")


def test_start_tls_and_unbind() -> None:
    assert (
        messages.start_tls(1) == bytes.fromhex("301d 020101 7718 8016") + b"1.3.6.1.4.1.1466.20037"
    )
    assert messages.unbind(300) == bytes.fromhex("3006 0202012c 4200")


def test_a_search_asks_for_one_entry_and_would_notice_a_second() -> None:
    octets = messages.search(2, "dc=x", b"\x87\x01a", ["mail"])

    [_, (tag, request)] = elements(contents(octets))
    assert tag == 0x63
    assert [each for _, each in elements(request)] == [
        b"dc=x", b"\x02", b"\0", b"\x02", b"\0", b"\0", b"a", text("mail"),
    ]  # fmt: skip


def test_answers_are_read() -> None:
    attribute = element(0x30, text("Mail"), element(0x31, text("a@b"), text("c@d")))
    entry = element(0x64, text("uid=a"), element(0x30, attribute))

    assert read(answer(SUCCESS)) == (7, Result(0, ""))
    assert read(answer(entry)) == (7, Entry("uid=a", {"mail": (b"a@b", b"c@d")}))
    assert read(answer(element(0x73, text("ldap://other")))) == (7, Reference())
    refused = element(0x61, integer(49, 0x0A), text(""), text("no"), text("controls", 0xA3))
    assert read(answer(refused) + element(0xA0)) == (7, Result(49, "no"))


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        integer(1),
        text("x") + SUCCESS,
        answer(element(0x60)),
        answer(element(0x65)),
        answer(element(0x65, text(""), text(""), text(""))),
        answer(element(0x64, text("a"))),
        answer(element(0x64, text(b"\xff"), element(0x30))),
        answer(element(0x64, text("a"), element(0x30, element(0x30, text("mail"))))),
        b"\x02\x81\x81\x01",  # cut short
        b"\x1f\x01\x00",  # a tag of several octets
        b"\x02\x80\x00\x00",  # indefinite
        b"\x02\x85\x01\x01\x01\x01\x01",
    ],
)
def test_what_is_no_answer_is_refused(octets: bytes) -> None:
    with pytest.raises(BadOctets):
        read(octets)


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda b: answer(element(0x64, b))))
def test_any_octets_are_an_answer_or_refused(octets: bytes) -> None:
    with contextlib.suppress(BadOctets):
        read(octets)


@given(st.integers(0, 0xFF).filter(lambda tag: tag & 0x1F != 0x1F), st.binary(max_size=70_000))
def test_what_is_written_is_what_is_read(tag: int, inner: bytes) -> None:
    octets = element(tag, inner)

    assert list(elements(octets)) == [(tag, inner)]
    assert length_follows(octets[1]) == len(octets) - len(inner) - 2


@given(st.integers(0, 2**40))
def test_numbers_are_never_negative(number: int) -> None:
    [(_, octets)] = elements(integer(number))

    assert int.from_bytes(octets, "big", signed=True) == number
