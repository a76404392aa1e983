"""SPF beyond the suite: what is told of a result, limits, and records that are rubbish."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.authenticity.spf import Spf, check_host
from posthouse.authenticity.spf.macros import BadMacro, Values, check_string, expand
from posthouse.authenticity.spf.record import BadRecord, parse
from support.names import FakeNames

MECHANISMS = {"all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists"}  # RFC 7208 §4.6.1
STRONG_BAD = Values(
    sender="strong-bad@email.example.com",
    domain="email.example.com",
    ip=ip_address("192.0.2.3"),
    hello="mx.example.org",
)


async def _check(zone: dict[str, dict[str, list[str]]], ip: str = "192.0.2.1") -> Spf:
    return await check_host(FakeNames(zone), ip, "a.test", sender="anna@a.test", hello="mx.a.test")


async def test_a_result_names_the_way_to_what_matched() -> None:
    found = await _check(
        {
            "a.test": {"TXT": ["v=spf1 include:b.test -all"]},
            "b.test": {"TXT": ["v=spf1 redirect=c.test"]},
            "c.test": {"TXT": ["v=spf1 ip4:192.0.2.0/24 -all"]},
        }
    )

    assert found.result == "pass"
    assert found.mechanism == "include:b.test > redirect=c.test > ip4:192.0.2.0/24"


async def test_a_mapped_address_is_the_one_it_stands_for() -> None:
    zone = {"a.test": {"TXT": ["v=spf1 ip4:192.0.2.1 -all"]}}

    assert (await _check(zone, "::ffff:192.0.2.1")).result == "pass"


async def test_records_that_include_each_other_come_to_an_end() -> None:
    found = await _check(
        {
            "a.test": {"TXT": ["v=spf1 include:b.test"]},
            "b.test": {"TXT": ["v=spf1 include:a.test"]},
        }
    )

    assert (found.result, found.why) == ("permerror", "too many questions")


async def test_names_that_are_not_there_may_be_asked_for_twice() -> None:
    def zone(terms: str) -> dict[str, dict[str, list[str]]]:
        return {"a.test": {"TXT": [f"v=spf1 {terms} -all"]}}

    assert (await _check(zone("a:x.test a:y.test"))).result == "fail"
    assert (await _check(zone("a:x.test a:y.test a:z.test"))).result == "permerror"


async def test_nobody_is_asked_after_ten_questions() -> None:
    names = FakeNames({"a.test": {"TXT": ["v=spf1 " + "a " * 11 + "-all"], "A": ["192.0.2.9"]}})

    found = await check_host(names, "192.0.2.1", "a.test", sender="a@a.test", hello="a.test")

    assert found.result == "permerror"
    assert sum(names.asked.values()) == 11  # the record, and ten


@pytest.mark.parametrize(
    ("macro", "expansion"),
    [
        ("%{s}", "strong-bad@email.example.com"),
        ("%{o}", "email.example.com"),
        ("%{d}", "email.example.com"),
        ("%{d4}", "email.example.com"),
        ("%{d3}", "email.example.com"),
        ("%{d2}", "example.com"),
        ("%{d1}", "com"),
        ("%{dr}", "com.example.email"),
        ("%{d2r}", "example.email"),
        ("%{l}", "strong-bad"),
        ("%{l-}", "strong.bad"),
        ("%{lr}", "strong-bad"),
        ("%{lr-}", "bad.strong"),
        ("%{l1r-}", "strong"),
        ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
    ],
)
def test_the_examples_of_the_rfc(macro: str, expansion: str) -> None:  # RFC 7208 §7.4
    assert expand(macro, STRONG_BAD) == expansion


def test_an_address_of_ip6_is_told_by_its_digits() -> None:  # RFC 7208 §7.4
    values = Values(sender="a@b", domain="b", ip=ip_address("2001:db8::cb01"), hello="b")

    assert expand("%{ir}.%{v}", values) == ".".join("10bc000000000000000000008bd01002") + ".ip6"


@given(st.text(max_size=200))
def test_any_text_is_a_record_or_a_bad_one(text: str) -> None:
    try:
        record = parse("v=spf1 " + text)
    except BadRecord:
        return
    assert {each.name for each in record.directives} <= MECHANISMS


@given(st.text(alphabet="%{}slodiphcrtv0123456789r.-+,/_= x", max_size=60))
def test_what_is_checked_can_be_expanded(text: str) -> None:
    try:
        check_string(text, explains=True)
    except BadMacro:
        return
    assert isinstance(expand(text, STRONG_BAD), str)
