"""Lists at the door and in messages: a real directory, and a name server with its troubles."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from policy_engine.content.authenticated import Authenticated
from policy_engine.content.case import Case
from policy_engine.content.finding import Finding
from policy_engine.lists import keyring as keyring_module
from policy_engine.lists.keyring import ANEW, Keyring
from policy_engine.lists.links import LinksCheck
from policy_engine.lists.zones import Zones
from posthouse.authenticity.dmarc import Dmarc
from posthouse.mail.access_keys import Kind
from posthouse.mail.admission import RcptQuestion
from posthouse.mail.ids import new_id
from posthouse.resolver import Resolver
from posthouse.storage import access, directory
from posthouse.storage.access import Action, Entry, Key, put_entry
from posthouse.storage.list_zones import Zone, put_zone, remove_zone
from posthouse.storage.pool import Pool
from support.dns_zone import Zone as NameServer
from support.dns_zone import serve_zone
from support.doorway import ANNA, CLIENT, EVE, OURS, Door, open_door
from support.plans import kept_plan

pytestmark = pytest.mark.integration

TAKEN, REFUSED = (250, "account"), (550, "list in DNS")
LISTED = "1.113.0.203"  # CLIENT
WELL = {"2.0.0.127.bl.test": ["A 127.0.0.2"], "2.0.0.127.wl.test": ["A 127.0.0.2"]}
IMPATIENT = {"lists_seconds": 0.5}


@pytest.fixture(autouse=True)
async def _people(pool: Pool) -> None:
    await directory.add_domain(pool, "example.test")
    for address in (ANNA, "bert@example.test"):
        await directory.add_account(pool, address, "x", None)


@pytest.fixture
async def dns() -> AsyncIterator[NameServer]:
    async with serve_zone(WELL) as zone:
        yield zone


def resolver(dns: NameServer) -> Resolver:
    return Resolver(dns.nameservers, lifetime=timedelta(seconds=0.4))


async def deny(pool: Pool, kind: Kind, key: str, action: Action = "deny", whose: str = "*") -> None:
    await put_entry(pool, Entry(whose=whose, kind=kind, key=key, action=action))


async def test_a_total_refuses_with_the_words_of_the_zone(pool: Pool, dns: NameServer) -> None:
    dns.records[f"{LISTED}.bl.test"] = ["A 127.0.0.4", 'TXT "Listed, see https://bl.test/1"']
    dns.records["far.test.dbl.test"] = ["A 127.0.0.2"]
    dns.records["test.dbl.test"] = ["A 127.0.0.2"]
    await put_zone(pool, Zone(zone="bl.test", weight=2, codes="2-9=2"))
    await put_zone(pool, Zone(zone="dbl.test", asks=("sender", "hello"), weight=1))

    async with open_door(pool, resolver(dns), lists_refuse_at=3) as door:
        assert await door.says(sender="eve@near.test") == TAKEN, "two points"
        assert await door.says() == REFUSED
        assert await door.says(sender="eve@near.test", hello="far.test") == REFUSED
        assert await door.says(client=OURS) == TAKEN
        assert await door.says(auth=ANNA, sender=ANNA) == TAKEN
        assert await door.says("postmaster@example.test") == (250, "postmaster")
        zones = Zones(pool, resolver(dns), timedelta(seconds=1))
        worst = (await zones.standing(CLIENT, "far.test", "")).worst
        assert await zones.text_of(worst) == "Listed, see https://bl.test/1"
    async with open_door(pool, resolver(dns)) as door:
        assert await door.says() == TAKEN, "the setting says nothing"


async def test_good_senders_need_not_come_again(pool: Pool, dns: NameServer) -> None:
    dns.records[f"{LISTED}.wl.test"] = ["A 127.0.5.1"]
    await put_zone(pool, Zone(zone="wl.test", weight=-5))

    async with open_door(pool, resolver(dns), greylisting=True) as door:
        assert await door.says() == (250, "list of good senders")
        assert await door.says(client="198.51.100.1") == (451, "greylist")


@pytest.mark.parametrize("trouble", ["SERVFAIL", "SILENCE", "TRUNCATED"])
async def test_trouble_with_dns_lists_nobody(pool: Pool, dns: NameServer, trouble: str) -> None:
    dns.records[f"{LISTED}.bl.test"] = [trouble]
    await put_zone(pool, Zone(zone="bl.test", weight=9))
    zones = Zones(pool, resolver(dns), timedelta(seconds=0.5))

    standing = await zones.standing(CLIENT, "far.test", "")

    assert (standing.total, standing.unknown) == (0, 1)
    async with open_door(pool, resolver(dns), lists_refuse_at=1, **IMPATIENT) as door:
        assert await door.says() == TAKEN
        assert await door.says(client="198.51.100.1") == TAKEN, "NXDOMAIN"


@pytest.mark.parametrize("answer", ["127.255.255.254", "127.0.0.1", "192.0.2.66"])
async def test_answers_that_are_none_list_nobody_and_rest_the_zone(
    pool: Pool, dns: NameServer, answer: str
) -> None:
    dns.records[f"{LISTED}.bl.test"] = [f"A {answer}"]
    dns.records["9.113.0.203.bl.test"] = ["A 127.0.0.2"]
    await put_zone(pool, Zone(zone="bl.test", weight=9))
    now = 1000.0
    zones = Zones(pool, resolver(dns), timedelta(seconds=1), clock=lambda: now)

    assert (await zones.standing(CLIENT, "", "")).total == 0
    assert (await zones.standing("203.0.113.9", "", "")).total == 0, "it rests"
    assert dns.asked["9.113.0.203.bl.test", "A"] == 0
    now += 120
    assert (await zones.standing("203.0.113.8", "", "")).total == 0, "it is probed"
    assert (await zones.standing("203.0.113.9", "", "")).total == 9, "it is well again"


async def test_a_zone_that_lists_everybody_lists_nobody(pool: Pool, dns: NameServer) -> None:
    dns.records[f"{LISTED}.bl.test"] = ["A 127.0.0.2"]
    dns.records["1.0.0.127.bl.test"] = ["A 127.0.0.2"]  # RFC 5782 section 5
    await put_zone(pool, Zone(zone="bl.test", weight=9))

    async with open_door(pool, resolver(dns), lists_refuse_at=1) as door:
        assert await door.says() == TAKEN


async def test_operators_are_heard_within_seconds(pool: Pool, dns: NameServer) -> None:
    dns.records[f"{LISTED}.bl.test"] = ["A 127.0.0.2"]
    now = 1000.0
    zones = Zones(pool, resolver(dns), timedelta(seconds=1), clock=lambda: now)
    assert zones.may_be_some, "nobody has looked yet"

    assert (await zones.standing(CLIENT, "", "")).total == 0
    assert not zones.may_be_some
    await put_zone(pool, Zone(zone="bl.test", weight=9))
    now += 2.1
    assert (await zones.standing(CLIENT, "", "")).total == 9
    assert (await zones.standing(CLIENT, "", "")).total == 9
    assert dns.asked[f"{LISTED}.bl.test", "A"] == 1
    await remove_zone(pool, "bl.test")
    now += 2.1
    assert (await zones.standing(CLIENT, "", "")).total == 0


async def test_our_own_lists_refuse_and_let_in(pool: Pool, dns: NameServer) -> None:
    dns.records[f"{LISTED}.bl.test"] = ["A 127.0.0.2"]
    dns.records["far.test"] = ['TXT "v=spf1 ip4:203.0.113.1 -all"']
    dns.records["10.100.51.198.in-addr.arpa"] = ["PTR host.pool.test"]
    dns.records["host.pool.test"] = ["A 198.51.100.10"]
    await put_zone(pool, Zone(zone="bl.test", weight=9))
    await deny(pool, "sender", "spam.test")
    await deny(pool, "client", "198.51.100.0/29")
    await deny(pool, "hello", "friend.test")
    await deny(pool, "reverse", "pool.test")
    await deny(pool, "sender", "near.test", "deny", whose="bert@example.test")
    await deny(pool, "sender", "far.test", "allow")
    denied = (550, "deny list")

    async with open_door(pool, resolver(dns), lists_refuse_at=1, greylisting=True) as door:
        assert await door.says() == (250, "allow list"), "proved by SPF, though listed"
        assert await door.says(sender="x@other.test") == REFUSED
        assert await door.says(client="198.51.100.9") == (451, "greylist"), "not proved"
        assert await door.says(sender="bulk@news.spam.test") == denied
        assert await door.says(client="198.51.100.3") == denied
        assert await door.says(client="192.0.2.9", sender="bulk@spam.test") == TAKEN, "ours"
        assert await door.says(client="198.51.100.9", hello="mx.friend.test") == denied
        assert await door.says(client="198.51.100.10") == denied
        near = await door.says("bert+x@example.test", "a@near.test", client="198.51.100.9")
        assert near == denied
        assert (await door.says(sender="a@near.test", client="198.51.100.9"))[0] == 451


async def test_lists_say_what_tables_of_postfix_do(pool: Pool, dns: NameServer) -> None:
    wide = Entry(whose="*", kind="client", key="203.0.113.0/24", action="deny", text="Go away")
    exception = replace(wide, key="203.0.113.9/32", action="except", text="")
    later = Entry(whose="*", kind="sender", key="slow.test", action="defer")
    gone = replace(later, key="trap.test", action="discard")
    shut = replace(later, kind="recipient", key="bert@example.test", action="deny")
    takes_all = replace(shut, key="anna@example.test", action="allow")
    for each in (wide, exception, later, gone, shut):
        await put_entry(pool, each)
    asked = RcptQuestion(recipient=ANNA, sender=EVE, client=CLIENT)

    async with open_door(pool, resolver(dns), greylisting=True) as door:
        said = await door.enquiries.answer(asked)
        assert (said.code, said.text, said.rule) == (550, "Go away", "deny list")
        assert await door.says(client="203.0.113.9") == (451, "greylist")
        assert await door.says("postmaster@example.test") == (250, "postmaster")
        other = "198.51.100.1"
        assert await door.says(sender="a@slow.test", client=other) == (451, "defer list")
        assert await door.says(sender="a@trap.test", client=other) == (250, "discard list")
        assert await door.says("bert+x@example.test", client=other) == (550, "deny list")
    await put_entry(pool, takes_all)
    async with open_door(pool, resolver(dns), greylisting=True) as door:
        assert await door.says() == (250, "allow list"), "whoever it comes from"


@pytest.fixture
async def door(pool: Pool, dns: NameServer) -> AsyncIterator[Door]:
    async with open_door(pool, resolver(dns)) as opened:
        yield opened


async def found(door: Door, *recipients: str, dmarc: bool = False) -> list[Finding]:
    octets = b"From: Eve <eve@far.test>\r\nX-Mailer: Bulk\r\n  Mate\r\nSubject: x\r\n\r\nbody\r\n"
    senders = Authenticated(dmarc=Dmarc(result="pass" if dmarc else "fail", domain="far.test"))
    case = Case(
        id=new_id(), client=CLIENT, hello="mx.far.test", sender=EVE, octets=octets,
        size=len(octets), recipients=recipients or (ANNA,), senders=senders,
    )  # fmt: skip
    findings: list[Finding] = []
    for check in door.doorway.checks:
        findings += await check(case)
    return findings


def seen(findings: Sequence[Finding]) -> list[tuple[str, float, str | None]]:
    return [(each.rule, each.score, each.action) for each in findings]


async def test_messages_get_the_points_of_lists(pool: Pool, dns: NameServer, door: Door) -> None:
    dns.records[f"{LISTED}.bl.test"] = ["A 127.0.0.4"]
    await put_zone(pool, Zone(zone="bl.test", weight=2, codes="4=1.5", title="Bad Hosts"))
    points = Entry(whose="*", kind="header", key="x-mailer: bulk mate", action="score", score=2.5)
    await put_entry(pool, points)

    assert seen(await found(door)) == [
        ("ACCESS_LIST", 2.5, None), ("LIST_BAD_HOSTS", 1.5, None),
    ]  # fmt: skip


async def test_a_plan_made_for_a_few_entries_finds_many_by_their_keys(pool: Pool) -> None:
    await deny(pool, "sender", "spam.test")
    await pool.execute("analyze access")

    plan = await kept_plan(
        pool,
        access._FIND,
        "text[], text[], text[], boolean",
        "'{sender}', '{a.test}', '{*}', false",
    )

    conditions = [line for line in plan if "Index Cond" in line]
    assert conditions, plan
    assert all("key = k.key" in each for each in conditions), "whoever's entries are read all"


async def test_many_who_look_at_the_keys_at_once_ask_once(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    async def counted(pool: Pool, since: datetime | None, limit: int) -> access.News:
        nonlocal asked
        asked += 1
        return await access.news(pool, since, limit)

    monkeypatch.setattr(keyring_module, "news", counted)
    await deny(pool, "sender", "a.test")
    keyring = Keyring(pool)

    assert await asyncio.gather(*(keyring.refresh() for _ in range(50))) == 50 * [{"sender"}]
    assert asked == 1


async def test_a_pod_knows_which_keys_there_are(pool: Pool) -> None:
    now = 1000.0
    one, two, none = ("sender", "a.test"), ("client", "192.0.2.0/24"), ("hello", "mx.test")
    keys: list[Key] = [one, two, none]  # type: ignore[list-item]
    await deny(pool, "sender", "a.test")
    keyring, small = Keyring(pool, lambda: now), Keyring(pool, lambda: now, most=1)
    assert keyring.likely(keys) == keys, "nobody has looked yet"

    assert await keyring.refresh() == {"sender"}
    assert keyring.likely(keys) == [one]
    await small.refresh()
    assert small.likely(keys) == [one]
    await deny(pool, "client", "192.0.2.0/24")
    assert await keyring.refresh() == {"sender", "client"}
    assert keyring.likely(keys) == [one, two]
    await small.refresh()
    assert small.likely(keys) == keys, "there are too many to keep"

    await pool.execute("delete from access where kind = 'sender'")
    assert await keyring.refresh() == {"client"}
    assert keyring.likely(keys) == [one, two], "until it looks at all of them again"
    now += ANEW.total_seconds()
    await asyncio.gather(keyring.refresh(), keyring.refresh())
    assert keyring.likely(keys) == [two]
    await small.refresh()
    assert small.likely(keys) == [two]


def letter_to(*links: str) -> Case:
    """Return a page with links, from a stranger who wants answers at far.test."""
    page = "".join(f'<a href="{link}">x</a>' for link in links)
    octets = (
        b"From: eve@shop.test\r\nReply-To: <eve@mail.far.test>\r\nContent-Type: text/html\r\n\r\n"
        + page.encode()
    )
    return Case(id=new_id(), client=CLIENT, sender=EVE, octets=octets, size=len(octets))


async def test_domains_of_links_are_asked_about(pool: Pool, dns: NameServer) -> None:
    dns.records |= {
        "spam.test.surbl.test": ["A 127.0.0.80"],  # bits 64 and 16
        "evil.test.surbl.test": ["A 127.0.0.16"],
        "far.test.dbl.test": ["A 127.0.1.2"],
        "test.dbl.test": ["A 127.0.1.2"],
    }
    await put_zone(pool, Zone(zone="surbl.test", asks=("link",), weight=1, codes="&64=2 &16=1.5"))
    await put_zone(pool, Zone(zone="dbl.test", asks=("author", "link"), weight=3, codes="1.2-99"))
    check = LinksCheck(Zones(pool, resolver(dns), timedelta(seconds=1)))

    listed = await check(
        letter_to("http://www.spam.test/1", "http://a.evil.test", "http://ok.test")
    )

    assert [(each.rule, each.score) for each in listed] == [
        ("LINK_DBL_TEST", 3.0), ("LINK_SURBL_TEST", 3.5),
    ]  # fmt: skip
    assert listed[0].seen == "far.test 127.0.1.2"
    assert listed[1].seen == "spam.test evil.test 127.0.0.80 127.0.0.16"
    assert await check(letter_to("http://ok.test")) == (listed[0],)
    assert check.of_ours
    assert check.of_strangers


@pytest.mark.parametrize("trouble", ["SERVFAIL", "SILENCE", "TRUNCATED", "ALL", "A 127.0.0.1"])
async def test_trouble_with_lists_of_domains_lists_nobody(
    pool: Pool, dns: NameServer, trouble: str
) -> None:
    is_all = trouble == "ALL"
    dns.records["spam.test.uri.test"] = ["A 127.0.0.2" if is_all else trouble]
    if is_all:
        dns.records["invalid.uri.test"] = ["A 127.0.0.2"]  # RFC 5782 section 5
    await put_zone(pool, Zone(zone="uri.test", asks=("link",), weight=9))
    check = LinksCheck(Zones(pool, resolver(dns), timedelta(seconds=0.5)))

    assert await check(letter_to("http://spam.test", "http://ok.test")) == ()


async def test_who_is_allowed_as_author_must_be_proved(pool: Pool, door: Door) -> None:
    await deny(pool, "author", "far.test", "allow")

    assert seen(await found(door)) == []
    assert seen(await found(door, dmarc=True)) == [("ALLOW_LIST", -100.0, "accept")]


@pytest.mark.parametrize(
    ("entry", "rule", "action", "text"),
    [
        (Entry(whose="*", kind="author", key="far.test", action="discard"), "DISCARD_LIST", "discard", ""),
        (
            Entry(whose="*", kind="header", key="x-mailer", action="defer", text="Later"),
            "DEFER_LIST", "tempfail", "Later",
        ),
        (Entry(whose="*", kind="author", key="far.test", action="deny", text="No"), "DENY_LIST", "reject", "No"),
    ],
)  # fmt: skip
async def test_messages_are_refused_or_thrown_away(
    pool: Pool, door: Door, entry: Entry, rule: str, action: str, text: str
) -> None:
    await put_entry(pool, entry)

    [finding] = await found(door)
    assert (finding.rule, finding.action, finding.text) == (rule, action, text)
    assert await found(door, ANNA, "abuse@example.test") == [], "who must be reached has to be"


async def test_recipients_have_points_of_their_own(pool: Pool, door: Door) -> None:
    mild = Entry(whose="*", kind="recipient", key=ANNA, action="score", score=-6)
    await put_entry(pool, mild)
    await put_entry(pool, replace(mild, key="bert@example.test", score=-20))

    assert seen(await found(door)) == [("ACCESS_LIST", -6.0, None)]
    assert seen(await found(door, ANNA, "bert@example.test")) == [("ACCESS_LIST", -6.0, None)]
    assert seen(await found(door, ANNA, "carl@example.test")) == []


async def test_one_recipients_list_does_not_refuse_for_others(pool: Pool, door: Door) -> None:
    await deny(pool, "header", "x-mailer", whose=ANNA)

    assert seen(await found(door)) == [("DENY_LIST", 100.0, "reject")]
    assert seen(await found(door, ANNA, "bert@example.test")) == []
