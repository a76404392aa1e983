"""Addresses as RFC 5321 §4.1.2 spells them."""

import pytest

from posthouse.mail.address import Address, BadAddress, is_domain, parse_address, unquote


@pytest.mark.parametrize(
    ("text", "local", "domain"),
    [
        ("anna@example.test", "anna", "example.test"),
        ("Anna.Berg@EXAMPLE.test", "Anna.Berg", "example.test"),
        ("o'hara+list@a.b.c", "o'hara+list", "a.b.c"),
        ('"anna berg"@example.test', '"anna berg"', "example.test"),
        (r'"a\"b"@example.test', r'"a\"b"', "example.test"),
        ("anna@[192.0.2.1]", "anna", "[192.0.2.1]"),
        ("anna@[IPv6:2001:db8::1]", "anna", "[ipv6:2001:db8::1]"),
        ("jürgen@bücher.example", "jürgen", "bücher.example"),
    ],
)
def test_a_mailbox_is_read(text: str, local: str, domain: str) -> None:
    assert parse_address(text) == Address(local, domain)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "anna",
        "@example.test",
        "anna@",
        "anna@example..test",
        "anna@-example.test",
        "anna..berg@example.test",
        ".anna@example.test",
        "anna.@example.test",
        "anna berg@example.test",
        "anna@example.test ",
        "anna@example.test\x00",
        "anna@exa\nmple.test",
        'an"na@example.test',
        "anna@example@test",
        "@relay.test:anna@example.test",
        f"{'a' * 65}@example.test",
        f"anna@{'a.' * 127}test",
    ],
)
def test_what_is_no_mailbox_is_refused(text: str) -> None:
    with pytest.raises(BadAddress):
        parse_address(text)


def test_a_longest_path_fits_and_one_octet_more_does_not() -> None:
    domain = ".".join(["d" * 61] * 3) + "." + "e" * 3
    room = 256 - 2 - 1 - len(domain)

    assert parse_address("l" * room + "@" + domain).local == "l" * room
    with pytest.raises(BadAddress):
        parse_address("l" * (room + 1) + "@" + domain)


def test_the_key_knows_neither_case_nor_quotes() -> None:
    assert parse_address('"Anna"@Example.TEST').key == parse_address("anna@example.test").key


@pytest.mark.parametrize(
    ("local", "split"),
    [
        ("anna+lists", ("anna", "lists")),
        ("anna+a+b", ("anna", "a+b")),
        ("anna", ("anna", "")),
        ("+anna", ("+anna", "")),
        ("anna+", ("anna", "")),
    ],
)
def test_the_detail_follows_the_first_delimiter(local: str, split: tuple[str, str]) -> None:
    assert Address(local, "example.test").detail("+") == split


def test_without_a_delimiter_there_is_no_detail() -> None:
    assert Address("anna+x", "example.test").detail("") == ("anna+x", "")


def test_quotes_and_backslashes_are_only_spelling() -> None:
    assert unquote(r'"a\"b c"') == 'a"b c'


def test_an_address_literal_is_no_domain() -> None:
    assert is_domain("example.test")
    assert not is_domain("[192.0.2.1]")
