"""Filters and names with gaps: what operators may write, and that nobody's name gets out of one."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.credentials.ldap import names
from posthouse.credentials.ldap.ber import element, text
from posthouse.credentials.ldap.filters import BadFilter, read
from posthouse.credentials.ldap.names import BadName, check, fill

GAPS = frozenset({"address", "local"})
WORDS = {"address": "anna@example.test", "local": "anna"}


def equal(attribute: str, value: str | bytes) -> bytes:
    return element(0xA3, text(attribute), text(value))


def written(source: str) -> bytes:
    return read(source, GAPS).write(WORDS)


@pytest.mark.parametrize(
    ("source", "octets"),
    [
        ("(mail={address})", equal("mail", "anna@example.test")),
        ("(cn=)", equal("cn", "")),
        ("(cn=Babs Jensen)", equal("cn", "Babs Jensen")),
        (r"(cn=a\2a\28\c3\a4{local}.)", equal("cn", "a*(äanna.")),
        ("(uid=ä)", equal("uid", "ä")),
        ("(!(cn=x))", element(0xA2, equal("cn", "x"))),
        ("(&(a=1)(|(b=2)(c=3)))", element(0xA0, equal("a", "1"), element(0xA1, equal("b", "2"), equal("c", "3")))),
        ("(mail=*)", text("mail", 0x87)),
        ("(a>=1)", element(0xA5, text("a"), text("1"))),
        ("(a<=1)", element(0xA6, text("a"), text("1"))),
        ("(a~=1)", element(0xA8, text("a"), text("1"))),
        ("(o=univ*of*mich*)", element(0xA4, text("o"), element(0x30, text("univ", 0x80), text("of", 0x81), text("mich", 0x81)))),
        ("(o=*{local})", element(0xA4, text("o"), element(0x30, text("anna", 0x82)))),
        ("(u:1.2.840.113556.1.4.803:=2)", element(0xA9, text("1.2.840.113556.1.4.803", 0x81), text("u", 0x82), text("2", 0x83))),
        ("(:dn:2.4.6.8.10:=x)", element(0xA9, text("2.4.6.8.10", 0x81), text("x", 0x83), b"\x84\x01\xff")),
        ("(cn;lang-de=x)", equal("cn;lang-de", "x")),
    ],
)  # fmt: skip
def test_a_filter_is_written_as_the_rfc_says(source: str, octets: bytes) -> None:
    assert written(source) == octets


@pytest.mark.parametrize(
    "source",
    [
        "", "mail={address}", "(mail={address}", "(mail={address}))", "()", "(&)", "(=x)",
        "(mail={user})", "(mail={})", "(mail=a{b)", "(a=b(c))", r"(a=\zz)", r"(a=\2)", "(a=b\0)",
        "(a=**)", "(:=x)", "(a:b:c:=x)", "(a:b=x)", "(!)", "(!(a=1)(b=2))", "(a=1)(b=2)", "(a>=*)",
    ],
)  # fmt: skip
def test_what_is_no_filter_is_refused(source: str) -> None:
    with pytest.raises(BadFilter):
        read(source, GAPS)


@given(st.text(max_size=100))
def test_any_text_is_a_filter_or_refused(source: str) -> None:
    with contextlib.suppress(BadFilter):
        written(f"({source})")


@given(st.text(st.characters(codec="utf-8")))
def test_no_name_gets_out_of_its_gap(name: str) -> None:
    octets = read("(&(mail={address})(a=b))", GAPS).write({"address": name})

    assert octets == element(0xA0, equal("mail", name), equal("a", "b"))


def test_a_name_is_filled() -> None:
    assert fill("uid={local},ou=people", WORDS) == "uid=anna,ou=people"
    assert fill("{address}", WORDS | {"address": "o'neil+x@a.test"}) == "o'neil+x@a.test"


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_a_word_in_a_distinguished_name_is_one_value(word: str) -> None:
    filled = fill("uid={local},dc=x", {"local": word})

    value, rest = filled.removeprefix("uid=").rsplit(",", 1)
    assert rest == "dc=x"
    assert not set(value) & set(',+"<>;= #\0')
    assert _meaning(value) == word


def _meaning(value: str) -> str:
    octets = bytearray()
    at = 0
    while at < len(value):
        if value[at] == "\\":
            octets += bytes.fromhex(value[at + 1 : at + 3])
            at += 3
        else:
            octets += value[at].encode()
            at += 1
    return octets.decode()


@pytest.mark.parametrize("template", ["uid=anna", "uid={user}", "uid={local}{}", ""])
def test_a_name_without_its_gaps_is_refused(template: str) -> None:
    with pytest.raises(BadName, match=r"\{address\}, \{local\}"):
        check(template, GAPS)


def test_a_name_with_its_gaps_is_taken() -> None:
    assert check("uid={local}", GAPS) == "uid={local}"
    assert names.check("{address}", GAPS) == "{address}"
