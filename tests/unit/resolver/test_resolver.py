"""DNS answers as values, from a real name server on loopback."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TypeVar

import pytest

from posthouse.mail.answers import Answer, Empty, Exchange, Found, Temporary
from posthouse.mail.tls_words import Tlsa
from posthouse.resolver import Resolver, parse_nameservers
from support.dns_zone import TTL_SECONDS, Zone, serve_zone

T = TypeVar("T")

RECORDS = {
    "a.test": ["MX 20 backup.a.test", "MX 10 Mx.A.test", "A 192.0.2.7"],
    "null.test": ["MX 0 ."],
    "web.test": ["A 192.0.2.1", "AAAA 2001:db8::1"],
    "four.test": ["A 192.0.2.4"],
    "sick.test": ["SERVFAIL"],
    "silent.test": ["SILENCE"],
    "empty.test": [],
    "long.test": ['TXT "v=spf1 " "-all"'],
    "xn--bcher-kva.test": ["MX 10 mx.a.test"],
    "alias.test": ["CNAME chain.test"],
    "chain.test": ["CNAME a.test"],
    "lost.test": ["CNAME nowhere.test"],
    "bare.test": ["CNAME empty.test"],
    "ring.test": ["CNAME ring2.test"],
    "ring2.test": ["CNAME ring.test"],
    "to-sick.test": ["CNAME sick.test"],
    "1.2.0.192.in-addr.arpa": ["PTR web.test"],
}


@pytest.fixture
async def zone() -> AsyncIterator[Zone]:
    async with serve_zone(RECORDS) as serving:
        yield serving


@pytest.fixture
def resolver(zone: Zone) -> Resolver:
    return Resolver(zone.nameservers, lifetime=timedelta(milliseconds=500))


async def test_exchanges_come_best_first_in_lower_case_without_the_last_dot(
    resolver: Resolver,
) -> None:
    assert await resolver.mx("A.Test") == Found(
        (Exchange(10, "mx.a.test"), Exchange(20, "backup.a.test"))
    )


async def test_the_null_mx_is_an_exchange_without_a_name(resolver: Resolver) -> None:
    assert await resolver.mx("null.test") == Found((Exchange(0, ""),))


@pytest.mark.parametrize(
    ("domain", "answer"),
    [
        ("nowhere.test", Empty(exists=False)),
        ("web.test", Empty(exists=True)),
        ("empty.test", Empty(exists=True)),
        ("a..test", Empty(exists=False)),
        ("x" * 64 + ".test", Empty(exists=False)),
        ("ab.\u2603\u2603." * 60, Empty(exists=False)),
        ("\\", Empty(exists=False)),
    ],
)
async def test_what_is_not_there_is_told_apart(
    resolver: Resolver, domain: str, answer: Answer[Exchange]
) -> None:
    assert await resolver.mx(domain) == answer


@pytest.mark.parametrize("domain", ["sick.test", "silent.test"])
async def test_what_nobody_can_tell_is_temporary(resolver: Resolver, domain: str) -> None:
    assert isinstance(await resolver.mx(domain), Temporary)
    assert isinstance(await resolver.addresses(domain), Temporary)


async def test_a_dead_name_server_is_temporary() -> None:
    nobody = Resolver("127.0.0.1:1", lifetime=timedelta(milliseconds=300))

    assert isinstance(await nobody.mx("a.test"), Temporary)


async def test_addresses_of_both_families_come_together(resolver: Resolver) -> None:
    assert await resolver.addresses("web.test") == Found(("2001:db8::1", "192.0.2.1"))


async def test_one_family_is_enough(resolver: Resolver) -> None:
    assert await resolver.addresses("four.test") == Found(("192.0.2.4",))


async def test_a_name_without_addresses_is_empty(resolver: Resolver) -> None:
    assert await resolver.addresses("empty.test") == Empty(exists=True)
    assert await resolver.addresses("nowhere.test") == Empty(exists=False)


async def test_an_internationalized_domain_is_asked_for_by_its_a_labels(resolver: Resolver) -> None:
    assert await resolver.mx("bücher.test") == Found((Exchange(10, "mx.a.test"),))


async def test_the_strings_of_a_text_record_are_put_together(resolver: Resolver) -> None:
    assert await resolver.txt("long.test") == Found(("v=spf1 -all",))


async def test_an_address_is_asked_for_its_name(resolver: Resolver) -> None:
    assert await resolver.pointers("192.0.2.1") == Found(("web.test",))


async def test_answers_are_kept_for_their_time(resolver: Resolver, zone: Zone) -> None:
    for _ in range(3):
        await resolver.mx("a.test")

    assert zone.asked["a.test", "MX"] == 1


async def test_what_was_found_holds_for_its_time_and_by_its_kind(
    zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver, now = Resolver(zone.nameservers), time.time()
    first = await resolver.mx("a.test")
    zone.records["a.test"] = ["MX 5 new.a.test", "A 192.0.2.8"]

    assert await resolver.mx("a.test") == first
    assert records_of(await resolver.addresses("a.test")) == ("192.0.2.8",)
    monkeypatch.setattr(time, "time", lambda: now + 2 * TTL_SECONDS)

    assert records_of(await resolver.mx("a.test")) == (Exchange(5, "new.a.test"),)


def records_of(answer: Answer[T]) -> tuple[T, ...]:
    assert isinstance(answer, Found)
    return answer.records


@pytest.mark.parametrize(
    "text", ["localhost", "127.0.0.1:x", "127.0.0.1:99999", "300.0.0.1", "[::1"]
)
def test_a_wrong_name_server_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_nameservers(text)


def test_name_servers_may_have_ports_and_be_of_either_family() -> None:
    found = parse_nameservers("127.0.0.1:5300, 9.9.9.9 ,[::1]:54,[::1]")

    assert [str(each) for each in found] == [
        "Do53:127.0.0.1@5300",
        "Do53:9.9.9.9@53",
        "Do53:::1@54",
        "Do53:::1@53",
    ]


@pytest.mark.parametrize("is_trusted", [True, False])
async def test_proved_records_are_told_if_the_name_servers_are_trusted(
    zone: Zone, *, is_trusted: bool
) -> None:
    zone.proved.add("null.test")
    resolver = Resolver(zone.nameservers, validates=is_trusted)

    proved, unproved = await resolver.mx("null.test"), await resolver.mx("a.test")

    assert isinstance(proved, Found)
    assert isinstance(unproved, Found)
    assert (proved.authentic, unproved.authentic) == (is_trusted, False)


@pytest.mark.parametrize("curt", [set(), {"alias.test"}, {"alias.test", "chain.test"}])
async def test_aliases_are_followed_whoever_does_it(
    resolver: Resolver, zone: Zone, curt: set[str]
) -> None:
    zone.curt = curt

    mx, addresses = await resolver.mx("alias.test"), await resolver.addresses("alias.test")

    assert mx == Found((Exchange(10, "mx.a.test"), Exchange(20, "backup.a.test")))
    assert addresses == Found(("192.0.2.7",))


@pytest.mark.parametrize("is_curt", [True, False])
async def test_an_alias_of_nothing_ends_as_what_it_is_an_alias_of(
    resolver: Resolver, zone: Zone, *, is_curt: bool
) -> None:
    zone.curt = {"lost.test", "bare.test", "to-sick.test"} if is_curt else set()

    assert await resolver.mx("lost.test") == Empty(exists=False)
    assert await resolver.mx("bare.test") == Empty(exists=True)
    assert isinstance(await resolver.mx("to-sick.test"), Temporary)


@pytest.mark.parametrize("is_curt", [True, False])
async def test_aliases_in_a_ring_come_to_an_end(
    resolver: Resolver, zone: Zone, *, is_curt: bool
) -> None:
    zone.curt = {"ring.test", "ring2.test"} if is_curt else set()

    assert isinstance(await resolver.mx("ring.test"), Temporary)
    assert zone.asked["ring.test", "MX"] <= 8


async def test_all_of_a_chain_must_be_proved(zone: Zone) -> None:
    zone.curt, zone.proved = {"alias.test"}, {"alias.test"}
    resolver = Resolver(zone.nameservers, validates=True)

    first = await resolver.mx("alias.test")
    zone.proved.add("chain.test")
    again = await Resolver(zone.nameservers, validates=True).mx("alias.test")

    assert isinstance(first, Found)
    assert isinstance(again, Found)
    assert (first.authentic, again.authentic) == (False, True)


async def test_tlsa_records_are_those_of_a_port(zone: Zone) -> None:
    zone.records["_25._tcp.mx.a.test"] = [f"TLSA 3 1 1 {'ab' * 32}", "TLSA 2 0 0 30 03"]
    zone.proved.add("_25._tcp.mx.a.test")
    resolver = Resolver(zone.nameservers, validates=True)

    found = await resolver.tlsa("mx.a.test", 25)

    assert isinstance(found, Found)
    assert found.authentic
    assert set(found.records) == {Tlsa(3, 1, 1, b"\xab" * 32), Tlsa(2, 0, 0, b"\x30\x03")}
    assert await resolver.tlsa("mx.a.test", 26) == Empty(exists=False)


async def test_addresses_are_proved_if_all_are_and_tell_whose_they_are(zone: Zone) -> None:
    zone.proved.update({"web.test", "A alias.test"})
    zone.records["chain.test"] = ["CNAME web.test"]
    resolver = Resolver(zone.nameservers, validates=True)

    web, alias = await resolver.addresses("web.test"), await resolver.addresses("alias.test")

    assert isinstance(web, Found)
    assert isinstance(alias, Found)
    assert (web.authentic, web.canonical) == (True, "web.test")
    assert (alias.authentic, alias.canonical) == (False, "web.test")


async def test_an_alias_itself_can_be_asked_for(resolver: Resolver) -> None:
    assert await resolver.alias("alias.test") == Found(("chain.test",))
    assert await resolver.alias("web.test") == Empty(exists=True)


async def test_addresses_are_proved_if_those_of_both_families_are(zone: Zone) -> None:
    zone.proved.add("web.test")
    resolver = Resolver(zone.nameservers, validates=True)

    assert await resolver.addresses("web.test") == Found(("2001:db8::1", "192.0.2.1"), True)
    assert await resolver.addresses("four.test") == Found(("192.0.2.4",), False)
