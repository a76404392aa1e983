"""Patterns for domains and senders: which fit, and which counts first."""

from __future__ import annotations

import pytest

from posthouse.mail.address import BadAddress
from posthouse.mail.patterns import (
    literal_address,
    pattern_key,
    patterns_of,
    sender_key,
    sender_patterns_of,
)


@pytest.mark.parametrize(
    ("domain", "patterns"),
    [
        ("test", ("test", "*")),
        ("Example.com", ("example.com", ".com", "*")),
        ("a.b.example.com", ("a.b.example.com", ".b.example.com", ".example.com", ".com", "*")),
        ("[192.0.2.1]", ("[192.0.2.1]", "*")),
        ("[IPv6:2001:DB8:0::1]", ("[ipv6:2001:db8::1]", "*")),
        ("[IPv6:::ffff:192.0.2.1]", ("[192.0.2.1]", "*")),
        ("[999.0.2.1]", ("[999.0.2.1]", "*")),
    ],
)
def test_the_most_specific_pattern_counts_first(domain: str, patterns: tuple[str, ...]) -> None:
    assert patterns_of(domain) == patterns


@pytest.mark.parametrize(
    ("sender", "patterns"),
    [
        ("", ("<>",)),
        ("Anna@Example.com", ("anna@example.com", "@example.com", "@.com")),
        (
            '"a@b"@a.example.com',
            ('"a@b"@a.example.com', "@a.example.com", "@.example.com", "@.com"),
        ),
        ("anna@[192.0.2.1]", ("anna@[192.0.2.1]", "@[192.0.2.1]")),
    ],
)
def test_a_sender_is_looked_up_by_address_and_then_by_domain(
    sender: str, patterns: tuple[str, ...]
) -> None:
    assert sender_patterns_of(sender) == patterns


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("*", "*"),
        ("Example.Com", "example.com"),
        (".Example.Com", ".example.com"),
        ("[IPv6:2001:DB8::0:1]", "[ipv6:2001:db8::1]"),
    ],
)
def test_a_pattern_is_kept_in_one_form(text: str, key: str) -> None:
    assert pattern_key(text) == key


@pytest.mark.parametrize(
    "text", ["", ".", "..a.test", "**", "*.a.test", "a b", "[192.0.2]", "[::1]", "a@b.test", "a."]
)
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(BadAddress):
        pattern_key(text)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("<>", "<>"),
        ("null", "<>"),
        ("Anna@A.test", "anna@a.test"),
        ("@A.test", "@a.test"),
        ("@.test", "@.test"),
        ("@[192.0.2.1]", "@[192.0.2.1]"),
    ],
)
def test_a_sender_is_kept_in_one_form(text: str, key: str) -> None:
    assert sender_key(text) == key


@pytest.mark.parametrize("text", ["", "@", "@*", "*", "anna", "anna@", "a b@c.test", "a.test"])
def test_what_is_no_sender_is_refused(text: str) -> None:
    with pytest.raises(BadAddress):
        sender_key(text)


@pytest.mark.parametrize("text", ["[fe80::1]", "[IPv6:fe80::1%eth0]", "192.0.2.1", "[]", "["])
def test_what_is_no_literal_has_no_address(text: str) -> None:
    assert literal_address(text) is None
