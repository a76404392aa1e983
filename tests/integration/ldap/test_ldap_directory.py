"""Passwords that an LDAP directory keeps, asked of a real one."""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from onemachine.certificates import certificates
from posthouse.credentials import app_passwords
from posthouse.credentials.exchange import (
    Accepted,
    Channel,
    Claim,
    Identity,
    Keys,
    Password,
    Refused,
    Verdict,
)
from posthouse.credentials.ldap.ber import element, integer, text
from posthouse.credentials.ldap.connection import KEEP, Connection, Lost, Server
from posthouse.credentials.ldap.directory import GAPS, Directory, Plan, Search
from posthouse.credentials.ldap.filters import read
from posthouse.mail.errors import Unavailable
from support.slapd import BASE, OUR_NAME, OUR_PASSWORD, PEOPLE, Slapd

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

CHANNEL = Channel(service="imap", client="192.0.2.1", is_trusted=True)
BY_NAME = f"uid={{local}},{PEOPLE}"
DEVICE = app_passwords.make()
ADDRESSES = ("anna@example.test", "bert@example.test", "odd@example.test")


def identity(address: str) -> Accepted:
    return Accepted(Identity(account_id=ADDRESSES.index(address), address=address))


@dataclass
class Accounts:
    """Knows some, and an app password of anna's."""

    asked: list[object] = field(default_factory=list)

    async def judge(self, attempt: object, _: Channel) -> Verdict | None:
        self.asked.append(attempt)
        match attempt:
            case Claim(user=user) if user in ADDRESSES:
                return identity(user)
            case Password(password=said) if said == DEVICE:
                return identity("anna@example.test")
            case _:
                return Refused()


def by_search(filter_: str = "(mail={address})", attribute: str = "") -> Search:
    return Search(
        base=BASE,
        filter=read(filter_, GAPS),
        name=OUR_NAME,
        password=OUR_PASSWORD,
        attribute=attribute,
    )


def plan(slapd: Slapd, way: str | Search = BY_NAME) -> Plan:
    return Plan(
        servers=(slapd.server(),), trust=slapd.trust(), way=way, remember=timedelta(), connections=2
    )


@asynccontextmanager
async def asking(told: Plan, accounts: Accounts | None = None) -> AsyncIterator[Directory]:
    async with Directory(told, accounts or Accounts()) as link:
        yield link


async def judge(link: Directory, user: str, password: str) -> Verdict | None:
    return await link.judge(Password(user=user, password=password), CHANNEL)


BOTH_WAYS = pytest.mark.parametrize("way", [BY_NAME, by_search()], ids=["name", "search"])


@BOTH_WAYS
async def test_the_right_password_is_right_and_no_other(slapd: Slapd, way: str | Search) -> None:
    async with asking(plan(slapd, way)) as link:
        assert await judge(link, "anna@example.test", "annas secret") == identity(ADDRESSES[0])
        assert await judge(link, "anna@example.test", "berts secret") == Refused()
        assert await judge(link, "nobody@example.test", "annas secret") == Refused()
        assert await judge(link, "Bert@Example.Test", "pässwörter") == identity(ADDRESSES[1])


@BOTH_WAYS
async def test_an_empty_password_proves_nothing(slapd: Slapd, way: str | Search) -> None:
    async with asking(plan(slapd, way)) as link:
        assert await judge(link, "anna@example.test", "") == Refused()
        assert await judge(link, "anna@example.test", "x" * 2000) == Refused()


@BOTH_WAYS
@pytest.mark.parametrize(
    "user",
    [
        "*@example.test",
        '"anna)(|(uid=*"@example.test',
        '"anna,ou=people"@example.test',
        '"*)(mail=*"@example.test',
        r'"\\2a"@example.test',
        '"anna\\\\"@example.test',
    ],
)
async def test_no_name_changes_what_is_asked(slapd: Slapd, way: str | Search, user: str) -> None:
    async with asking(plan(slapd, way)) as link:
        assert await judge(link, user, "annas secret") == Refused()


async def test_odd_characters_are_only_characters(slapd: Slapd) -> None:
    way = by_search("(&(objectClass=inetOrgPerson)(uid={local}))", attribute="mail")
    async with asking(plan(slapd, way)) as link:
        assert await judge(link, "odd)(uid=*", "odd") == identity(ADDRESSES[2])
        assert await judge(link, "odd*", "odd") == Refused()


async def test_an_entry_may_say_whose_mailbox_it_is(slapd: Slapd) -> None:
    async with asking(plan(slapd, by_search("(uid={local})", attribute="Mail"))) as link:
        assert await judge(link, "anna", "annas secret") == identity(ADDRESSES[0])
        assert await judge(link, "anna@corp.test", "annas secret") == identity(ADDRESSES[0])
        assert await judge(link, "stranger", "strange") == Refused()  # has no account here


@pytest.mark.parametrize(
    "source",
    [
        "(|(uid={local})(mail={address}))",
        "(&(mail={local}@*)(!(uid=bert)))",
        "(&(mail=*)(uid~={local}))",
        "(uid:caseIgnoreMatch:={local})",
        "(&(uid={local})(createTimestamp>=20200101000000Z)(!(createTimestamp<=20200101000000Z)))",
        r"(&(uid={local})(mail=*\40example*test))",
    ],
)
async def test_a_server_understands_our_filters(slapd: Slapd, source: str) -> None:
    async with asking(plan(slapd, by_search(source))) as link:
        assert await judge(link, "anna@example.test", "annas secret") == identity(ADDRESSES[0])


async def test_of_several_entries_none_is_taken(slapd: Slapd) -> None:
    async with asking(plan(slapd, by_search())) as link:
        assert await judge(link, "twins@example.test", "same") == Refused()


async def test_only_people_of_its_domains_are_asked_for(slapd: Slapd) -> None:
    told = replace(plan(slapd), domains=frozenset({"example.test"}))
    async with asking(told) as link:
        assert await judge(link, "anna@other.test", "annas secret") is None
        assert await judge(link, "anna", "annas secret") is None
        assert await link.judge(Keys(user="anna@example.test"), CHANNEL) is None


async def test_an_app_password_is_not_shown_to_the_directory(slapd: Slapd) -> None:
    nowhere = replace(plan(slapd), servers=(Server(host="localhost", port=1, protection="none"),))
    async with asking(nowhere) as link:
        assert await judge(link, "anna@example.test", DEVICE) == identity(ADDRESSES[0])


@pytest.mark.parametrize("protection", ["tls", "starttls", "none"])
async def test_each_way_to_the_server_works(slapd: Slapd, protection: str) -> None:
    server = slapd.server(tls=protection == "tls", plaintext=protection == "none")
    async with asking(replace(plan(slapd), servers=(server,))) as link:
        assert await judge(link, "anna@example.test", "annas secret") == identity(ADDRESSES[0])


@pytest.mark.parametrize("tls", [True, False], ids=["tls", "starttls"])
async def test_a_certificate_of_somebody_else_is_not_taken(slapd: Slapd, *, tls: bool) -> None:
    other = certificates(slapd.home / "other", ["localhost"])
    trust = ssl.create_default_context(cafile=str(other.authority))
    misnamed = replace(slapd.server(tls=tls), host="127.0.0.2")
    for told in (
        replace(plan(slapd), trust=trust, servers=(slapd.server(tls=tls),)),
        replace(plan(slapd), servers=(misnamed,)),
    ):
        async with asking(told) as link:
            with pytest.raises(Unavailable):
                await judge(link, "anna@example.test", "annas secret")


async def test_a_wrong_password_of_our_own_is_an_outage(slapd: Slapd) -> None:
    wrong = replace(by_search(), password=secrets.token_hex(4))
    async with asking(plan(slapd, wrong)) as link:
        with pytest.raises(Unavailable):
            await judge(link, "anna@example.test", "annas secret")


async def test_who_was_right_is_remembered_for_a_while(slapd: Slapd) -> None:
    now = [0.0]
    accounts = Accounts()
    told = replace(plan(slapd), remember=timedelta(minutes=1))
    async with Directory(told, accounts, clock=lambda: now[0]) as link:
        await judge(link, "anna@example.test", "annas secret")
        link._binders._open = _refuse
        link._binders.close()
        assert await judge(link, "anna@example.test", "annas secret") == identity(ADDRESSES[0])
        assert accounts.asked == [Claim(user="anna@example.test")] * 2
        now[0] += 60
        with pytest.raises(Unavailable):
            await judge(link, "anna@example.test", "annas secret")


async def _refuse() -> Connection:
    raise Lost("asked although it was remembered")


async def test_a_server_that_was_restarted_is_connected_to_again(slapd: Slapd) -> None:
    async with asking(plan(slapd, by_search())) as link:
        await judge(link, "anna@example.test", "annas secret")
        await slapd.stop()
        try:
            with pytest.raises(Unavailable):
                await judge(link, "anna@example.test", "annas secret")
        finally:
            await slapd.start()
        assert await judge(link, "anna@example.test", "annas secret") == identity(ADDRESSES[0])


async def test_of_two_servers_the_one_that_is_there_answers(slapd: Slapd) -> None:
    gone = Server(host="localhost", port=1, protection="none")
    async with asking(replace(plan(slapd), servers=(gone, slapd.server()))) as link:
        assert await judge(link, "anna@example.test", "annas secret") == identity(ADDRESSES[0])
        assert link._servers._servers == [slapd.server(), gone]


async def test_many_logins_share_few_connections(slapd: Slapd) -> None:
    opened = 0

    async with asking(plan(slapd)) as link:
        one_more = link._servers.open

        async def counted() -> Connection:
            nonlocal opened
            opened += 1
            return await one_more()

        link._binders._open = counted
        logins = [judge(link, "anna@example.test", "annas secret") for _ in range(40)]
        assert await asyncio.gather(*logins) == [identity(ADDRESSES[0])] * 40
        assert opened <= 2


async def test_a_connection_that_was_idle_for_long_is_not_used_again(slapd: Slapd) -> None:
    now = [0.0]
    async with Directory(plan(slapd), Accounts(), clock=lambda: now[0]) as link:
        await judge(link, "anna@example.test", "annas secret")
        [(_, first)] = link._binders._idle
        await judge(link, "anna@example.test", "annas secret")
        assert [each for _, each in link._binders._idle] == [first]
        now[0] += KEEP.total_seconds() + 1
        assert await judge(link, "anna@example.test", "annas secret") == identity(ADDRESSES[0])
        [(_, second)] = link._binders._idle
        assert second is not first


async def test_a_server_that_says_nothing_is_not_waited_for_for_ever(slapd: Slapd) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    listener = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    quiet = Server(host="127.0.0.1", port=port, protection="none")
    told = replace(plan(slapd), servers=(quiet, slapd.server()), patience=timedelta(seconds=0.5))
    async with listener, asking(told) as link:
        with pytest.raises(Unavailable):
            await judge(link, "anna@example.test", "annas secret")
        assert link._servers._servers == [slapd.server(), quiet]  # the next login finds one


async def test_what_somebody_says_before_tls_is_not_read_under_it(slapd: Slapd) -> None:
    """Somebody in between adds a welcome for whatever password to the answer to StartTLS."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(slapd.certificates.chain, slapd.certificates.key)

    def ok(number: int, tag: int) -> bytes:
        result = element(tag, integer(0, 0x0A), text(""), text(""))
        return element(0x30, integer(number), result)

    async def between(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(ok(1, 0x78) + ok(2, 0x61))
        with suppress(OSError):
            await writer.start_tls(server)
            await reader.read()
        writer.close()

    listener = await asyncio.start_server(between, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    told = replace(
        plan(slapd), servers=(Server(host="localhost", port=port, protection="starttls"),)
    )
    async with listener, asking(told) as link:
        with pytest.raises(Unavailable):
            await judge(link, "anna@example.test", "whatever")


@BOTH_WAYS
async def test_an_operator_can_have_it_examined(slapd: Slapd, way: str | Search) -> None:
    async with asking(plan(slapd, way)) as link:
        await link.examine()
    gone = Server(host="localhost", port=1, protection="none")
    async with asking(replace(plan(slapd, way), servers=(gone,))) as link:
        with pytest.raises(Unavailable, match="localhost:1"):
            await link.examine()


async def test_an_examination_finds_a_wrong_base_and_a_wrong_password(slapd: Slapd) -> None:
    for wrong in (
        replace(by_search(), base="dc=nowhere"),
        replace(by_search(), password=secrets.token_hex(4)),
    ):
        async with asking(plan(slapd, wrong)) as link:
            with pytest.raises(Unavailable, match=r"result (32|49)"):
                await link.examine()
