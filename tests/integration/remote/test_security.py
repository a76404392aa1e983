"""Mail to servers of which something is demanded: by operators, MTA-STS, DANE, REQUIRETLS.

Real name server, HTTPS server, SMTP servers and PostgreSQL; certificates of an authority of the test.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from delivery_remote import guard as room
from delivery_remote.delivery import Delivery
from delivery_remote.destinations import Destinations
from delivery_remote.guard import Guard
from delivery_remote.next_hop import Limits
from delivery_remote.routes import Target
from delivery_remote.security.contexts import Contexts, Trust
from delivery_remote.security.discovery import StsPolicies
from delivery_remote.security.records import TlsaRecords
from delivery_remote.security.witness import Witness
from delivery_remote.session import Manners
from delivery_remote.ways import Customs, Ways
from posthouse.bus.moves import Ack, Move, Wait
from posthouse.mail.handling import Handling
from posthouse.mail.hops import parse_hop
from posthouse.mail.tls_words import Fault, Level, TlsPolicy
from posthouse.resolver import Resolver
from posthouse.runtime.web import Web
from posthouse.storage.directory import Route, set_route
from posthouse.storage.directory.tls_policies import set_tls_policy
from posthouse.storage.sts_policies import sts_row
from posthouse.storage.tls_results import Result, list_results
from support.chains import Issued, authority
from support.outside import MESSAGE, QUICK
from support.remote import OURS, Station
from support.scripted_smtp import Peer, scripted
from support.sts_site import Site, serve_site

pytestmark = pytest.mark.integration

SECURE = "250-mx0.b.test\n250-PIPELINING\n250-REQUIRETLS\n250 STARTTLS"
PLAIN = "250-mx0.b.test\n250 PIPELINING"
MX = "mx0.b.test"
NOW = timedelta()
SECRET = Handling(requiretls=True)
ROOT = authority()
GOOD = ROOT.issue(MX)
EXPIRED = ROOT.issue(MX, ends=timedelta(days=-1))
MISNAMED = ROOT.issue("other.test")
STRANGE = authority("Nobody's").issue(MX)
SITE = ROOT.issue("mta-sts.b.test", "mta-sts.c.test")


@dataclass
class World:
    """b.test, its servers and its web, and we."""

    station: Station
    stack: AsyncExitStack
    folder: Path
    site: Site
    manners: Manners
    witness: Witness
    destinations: Destinations
    hosts: int = 100

    async def server(self, shown: Issued, ehlo: str = SECURE) -> Peer:
        """Start a mail server that shows ``shown``."""
        self.hosts += 1
        tls = shown.server(self.folder)
        host = f"127.0.0.{self.hosts}"
        return await self.stack.enter_async_context(
            scripted({"EHLO": ehlo}, tls=tls, port=self.station.port, host=host)
        )

    async def b_test(self, shown: Issued, ehlo: str = SECURE) -> Peer:
        """Let ``shown`` be the certificate of the one server of b.test."""
        peer = await self.server(shown, ehlo)
        self.station.domain("b.test", peer.host)
        return peer

    def publish(self, mode: str, *mx: str, ident: str = "1", max_age: int = 86_400) -> None:
        """Publish an MTA-STS policy of b.test."""
        self.station.zone.records["_mta-sts.b.test"] = [f'TXT "v=STSv1; id={ident};"']
        self.station.zone.records["mta-sts.b.test"] = ["A 127.0.0.1"]
        self.site.publish(mode, *mx, max_age=max_age)

    def prove(self, *records: str, host: str = MX) -> None:
        """Let DNSSEC prove everything of b.test, with these TLSA records for ``host``."""
        name = f"_{self.station.port}._tcp.{host}"
        self.station.zone.records[name] = [f"TLSA {record}" for record in records]
        self.station.zone.proved |= {"b.test", host, name}

    def pod(self) -> Delivery:
        """Return a process that remembers nothing of others but what PostgreSQL knows."""
        resolver = Resolver(
            self.station.zone.nameservers, lifetime=timedelta(seconds=1), validates=True
        )
        pool = self.station.pool
        trust = self.manners.contexts.get(Trust.PUBLIC)
        web = Web(resolver, trust, port=self.site.port, patience=timedelta(seconds=1), inner=True)
        self.stack.push_async_exit(web)
        guard = Guard(
            pool,
            sts=StsPolicies(pool, resolver, web, self.witness.complain, NOW),
            dane=TlsaRecords(resolver, NOW),
        )
        ways = Ways(pool, resolver, Customs(ours=OURS, port=self.station.port))
        return Delivery(
            replace(self.station.parts, ways=ways, guard=guard, destinations=self.destinations)
        )

    async def mail(self, **more: object) -> Move:
        """Deliver a mail to b.test by a new process."""
        envelope = await self.station.accept("bert@b.test", **more)  # type: ignore[arg-type]
        return await self.pod().deliver(envelope)

    async def replies(self) -> str:
        """Return what the ledger says of the last recipient."""
        row = await self.station.pool.fetchrow(
            "select state, reply from recipients where address = 'bert@b.test'"
            " order by envelope desc limit 1"
        )
        assert row is not None
        return f"{row['state']} {row['reply']}"

    async def results(self) -> tuple[Result, ...]:
        await self.witness.flush()
        first = (date.min, "", "", "", "", "", "")
        return await list_results(self.station.pool, first, 100, {})


@pytest.fixture
async def world(
    station: Station, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    monkeypatch.setattr(room, "TABLE_FRESH", timedelta())
    contexts = Contexts(ROOT.pem(tmp_path / "root.pem"))
    async with AsyncExitStack() as stack:
        witness = await stack.enter_async_context(Witness(station.pool))

        def tell(target: Target, fault: Fault | None) -> None:
            witness.saw(target.host, target.address, target.demand, fault, source=target.source)

        manners = Manners(
            hostname="mail.example.test", patience=QUICK, contexts=contexts, tell=tell
        )
        site = await stack.enter_async_context(serve_site(SITE.server(tmp_path)))
        limits = Limits(rest=timedelta(milliseconds=1))
        known = await stack.enter_async_context(Destinations(manners, limits))
        yield World(station, stack, tmp_path, site, manners, witness, known)


Published = Callable[[World], None]


async def test_a_server_that_fits_the_policy_gets_the_mail_and_the_trace_says_so(
    world: World,
) -> None:
    peer = await world.b_test(GOOD)
    world.publish("enforce", "*.b.test")

    assert await world.mail() == Ack()

    assert len(peer.accepted) == 1
    assert world.site.asked == ["GET mta-sts.b.test/.well-known/mta-sts.txt"]
    (result,) = await world.results()
    assert (result.domain, result.kind, result.failure) == ("b.test", "sts", "")
    assert "mode: enforce" in result.policy


@pytest.mark.parametrize(
    ("shown", "ehlo", "failure"),
    [
        (EXPIRED, SECURE, "certificate-expired"),
        (MISNAMED, SECURE, "certificate-host-mismatch"),
        (STRANGE, SECURE, "certificate-not-trusted"),
        (GOOD, PLAIN, "starttls-not-supported"),
    ],
)
async def test_an_enforced_policy_keeps_mail_from_a_server_that_does_not_fit(
    world: World, shown: Issued, ehlo: str, failure: str
) -> None:
    peer = await world.b_test(shown, ehlo)
    world.publish("enforce", MX)

    assert isinstance(await world.mail(), Wait)

    assert peer.messages == []
    assert "deferred 454 4.7." in await world.replies()
    (result,) = await world.results()
    assert (result.failure, result.host, result.address) == (failure, MX, peer.host)


@pytest.mark.parametrize("shown", [EXPIRED, MISNAMED, STRANGE])
async def test_a_tested_policy_lets_the_mail_go_and_tells(world: World, shown: Issued) -> None:
    peer = await world.b_test(shown)
    world.publish("testing", MX)

    assert await world.mail() == Ack()

    assert len(peer.accepted) == 1
    (result,) = await world.results()
    assert result.failure


async def test_a_server_that_the_policy_does_not_list_is_passed_over(world: World) -> None:
    evil, own = (
        await world.server(ROOT.issue("mx0.b.test")),
        await world.server(ROOT.issue("mx1.b.test")),
    )
    world.station.domain("b.test", evil.host, own.host)
    world.publish("enforce", "mx1.b.test")

    assert await world.mail() == Ack()

    assert evil.connections == 0
    assert len(own.accepted) == 1
    assert [(each.failure, each.host) for each in await world.results()] == [
        ("", ""),
        ("validation-failure", "mx0.b.test"),
    ]


async def test_a_policy_at_hand_outlives_its_record_and_its_web_server(world: World) -> None:
    peer = await world.b_test(GOOD)
    world.publish("enforce", MX)
    assert await world.mail() == Ack()

    world.station.domain("b.test", (await world.server(MISNAMED)).host)
    world.site.status = 503
    for gone in ([], ["SERVFAIL"], ['TXT "v=STSv1; id=2;"']):
        world.station.zone.records["_mta-sts.b.test"] = gone
        assert isinstance(await world.mail(), Wait)

    assert len(peer.accepted) == 1
    row = await sts_row(world.station.pool, "b.test")
    assert row is not None
    assert (row.id, row.tried_id, row.mode) == ("1", "2", "enforce")
    assert "503" in row.fault


async def test_another_process_need_not_fetch_what_one_has_fetched(world: World) -> None:
    await world.b_test(GOOD)
    world.publish("enforce", MX)

    for _ in range(3):
        assert await world.mail() == Ack()

    assert len(world.site.asked) == 1


async def test_a_new_id_brings_the_new_policy(world: World) -> None:
    peer = await world.b_test(MISNAMED)
    world.publish("enforce", MX)
    assert isinstance(await world.mail(), Wait)

    world.publish("none", ident="2")

    assert await world.mail() == Ack()
    assert len(peer.accepted) == 1


@pytest.mark.parametrize(
    ("change", "failure"),
    [
        ({"status": 404}, "sts-policy-fetch-error"),
        ({"status": 301, "headers": {"Location": "https://mta-sts.c.test/"}}, "sts-policy-fetch-error"),
        ({"media_type": "text/html"}, "sts-policy-invalid"),
        ({"text": "nonsense"}, "sts-policy-invalid"),
        ({"text": "x: y\n" * 20_000}, "sts-policy-fetch-error"),
    ],
)  # fmt: skip
async def test_a_policy_that_cannot_be_had_is_none_and_is_told(
    world: World, change: dict[str, object], failure: str
) -> None:
    await world.b_test(MISNAMED)
    world.publish("enforce", MX)
    for name, value in change.items():
        setattr(world.site, name, value)

    assert await world.mail() == Ack()
    assert await world.mail() == Ack()

    assert len(world.site.asked) == 1  # not again at once (RFC 8461 section 3.3)
    assert failure in {result.failure for result in await world.results()}


async def test_the_web_server_must_prove_who_it_is(world: World) -> None:
    await world.b_test(MISNAMED)
    world.publish("enforce", MX)
    strange = await world.stack.enter_async_context(serve_site(STRANGE.server(world.folder)))
    strange.text, world.site = world.site.text, strange

    assert await world.mail() == Ack()

    assert strange.asked == []
    assert "sts-webpki-invalid" in {result.failure for result in await world.results()}


@pytest.mark.parametrize("usage", [3, 2])
async def test_dane_needs_no_public_authority(world: World, usage: int) -> None:
    private = authority("b.test's own")
    shown = private.issue(MX)
    peer = await world.b_test(shown)
    world.prove(str((shown if usage == 3 else private).tlsa(usage)))
    world.publish("enforce", "elsewhere.test")  # DANE goes first

    assert await world.mail() == Ack()

    assert len(peer.accepted) == 1
    (result,) = await world.results()
    assert (result.kind, result.failure) == ("tlsa", "")
    assert result.policy[0].startswith(f"{usage} 1 1 ")


async def test_records_that_do_not_match_keep_the_mail(world: World) -> None:
    peer = await world.b_test(GOOD)  # a public certificate does not help
    world.prove(str(STRANGE.tlsa(3)))

    assert isinstance(await world.mail(), Wait)

    assert peer.messages == []
    assert "no TLSA record matches" in await world.replies()
    (result,) = await world.results()
    assert (result.kind, result.failure) == ("tlsa", "validation-failure")


@pytest.mark.parametrize("trouble", ["SERVFAIL", "SILENCE"])
async def test_a_server_whose_records_nobody_can_tell_is_not_used(
    world: World, trouble: str
) -> None:
    first, second = await world.server(GOOD), await world.server(STRANGE)
    world.station.domain("b.test", first.host, second.host)
    world.prove(str(STRANGE.tlsa(3)), host="mx1.b.test")
    world.prove(host=MX)
    world.station.zone.records[f"_{world.station.port}._tcp.{MX}"] = [trouble]

    assert await world.mail() == Ack()

    assert first.connections == 0
    assert len(second.accepted) == 1


async def test_records_count_only_where_all_is_proved(world: World) -> None:
    peer = await world.b_test(MISNAMED)
    world.prove(str(STRANGE.tlsa(3)))
    zone, name = world.station.zone, f"_{world.station.port}._tcp.{MX}"
    for unproved in ("b.test", MX, name):
        zone.proved.remove(unproved)
        assert await world.mail() == Ack()
        zone.proved.add(unproved)

    assert len(peer.accepted) == 3
    assert isinstance(await world.mail(), Wait)
    zone.proved -= {"b.test", MX}
    asked = zone.asked[name, "TLSA"]
    await world.mail()
    assert zone.asked[name, "TLSA"] == asked  # RFC 7672 section 2.2.2: unproved zones are not asked


async def test_records_that_smtp_cannot_use_demand_tls_with_anybody(world: World) -> None:
    world.prove(str(GOOD.tlsa(1)))
    peer = await world.b_test(MISNAMED)
    assert await world.mail() == Ack()
    assert peer.encrypted == 1

    plain = await world.b_test(GOOD, PLAIN)
    assert isinstance(await world.mail(), Wait)
    assert plain.messages == []


@pytest.mark.parametrize("at", ["end.elsewhere.test", MX])
async def test_an_alias_has_its_records_at_either_end(world: World, at: str) -> None:
    """RFC 7672 section 2.2.2: at the end first, and asked for by that name."""
    shown = STRANGE
    peer = await world.b_test(shown)
    zone = world.station.zone
    zone.records["end.elsewhere.test"] = zone.records[MX]
    zone.records[MX] = ["CNAME end.elsewhere.test"]
    world.prove(str(shown.tlsa(3)), host=at)
    zone.proved |= {MX, "end.elsewhere.test"}

    assert await world.mail() == Ack()

    (result,) = await world.results()
    assert (result.kind, result.failure) == ("tlsa", "")
    zone.proved -= {MX}
    zone.proved |= {f"CNAME {MX}"}  # the alias is proved, its end is not
    await world.mail()
    assert {each.kind for each in await world.results()} == (
        {"tlsa"} if at == MX else {"tlsa", "no-policy-found"}
    )
    assert len(peer.accepted) == 2


@pytest.mark.parametrize("by", ["sts", "testing", "dane"])
async def test_requiretls_is_content_with_mta_sts_and_with_dane(world: World, by: str) -> None:
    shown = STRANGE if by == "dane" else GOOD
    peer = await world.b_test(shown)
    if by == "dane":
        world.prove(str(shown.tlsa(3)))
    else:
        world.publish("enforce" if by == "sts" else "testing", MX)

    assert await world.mail(handling=SECRET) == Ack()

    assert len(peer.accepted) == 1
    assert "MAIL FROM:<anna@example.test> REQUIRETLS" in peer.commands


@pytest.mark.parametrize(
    ("publish", "reply"),
    [
        (lambda _: None, "nothing proves which servers"),
        (lambda world: world.publish("testing", "other.b.test"), "5.7.10"),
        (lambda world: world.prove(str(STRANGE.tlsa(3))), "5.7.10"),
    ],
)
async def test_requiretls_bounces_where_nothing_proves_the_server(
    world: World, publish: Published, reply: str
) -> None:
    peer = await world.b_test(GOOD)
    publish(world)

    assert await world.mail(handling=SECRET) == Ack()

    assert peer.messages == []
    assert reply in await world.replies()


@pytest.mark.parametrize(
    ("level", "shown", "ehlo", "goes"),
    [
        ("none", GOOD, SECURE, True),
        ("may", STRANGE, SECURE, True),
        ("may", GOOD, PLAIN, True),
        ("encrypt", STRANGE, SECURE, True),
        ("encrypt", GOOD, PLAIN, False),
        ("verify", GOOD, SECURE, True),
        ("verify", STRANGE, SECURE, False),
        ("fingerprint", GOOD, SECURE, True),
        ("fingerprint", STRANGE, SECURE, False),
    ],
)
async def test_what_an_operator_set_counts(
    world: World, level: Level, shown: Issued, ehlo: str, *, goes: bool
) -> None:
    peer = await world.b_test(shown, ehlo)
    world.publish("enforce", "elsewhere.test")  # an operator knows better
    pins = (sha256(GOOD.der).hexdigest(),) if level == "fingerprint" else ()
    await set_tls_policy(world.station.pool, TlsPolicy(domain="b.test", level=level, pins=pins))

    move = await world.mail()

    assert (move == Ack()) is goes
    assert len(peer.accepted) == (1 if goes else 0)
    assert peer.encrypted == (0 if level == "none" or ehlo == PLAIN else peer.encrypted)


async def test_what_is_set_for_all_others_counts_for_next_hops_too(world: World) -> None:
    pool, station = world.station.pool, world.station
    peer = await world.server(GOOD, PLAIN)
    hop = parse_hop(f"{peer.host}:{station.port}")
    await set_route(pool, Route(domain="b.test", hops=(hop,)))
    await set_tls_policy(pool, TlsPolicy(domain="*", level="encrypt"))
    assert isinstance(await world.mail(), Wait)

    await set_tls_policy(pool, TlsPolicy(domain="b.test", level="may"))
    assert await world.mail() == Ack()
    assert len(peer.accepted) == 1


async def test_the_most_specific_policy_counts_also_by_the_servers_name(world: World) -> None:
    pool = world.station.pool
    plain = await world.b_test(GOOD, PLAIN)
    for domain, level, goes in (
        ("*", "encrypt", False),
        (".b.test", "may", True),  # below it: the server
        (MX, "encrypt", False),
        (".test", "may", True),  # the recipients' domain goes first
        ("b.test", "verify", False),
    ):
        await set_tls_policy(pool, TlsPolicy(domain=domain, level=level))  # type: ignore[arg-type]
        assert (await world.mail() == Ack()) is goes, domain
    assert len(plain.accepted) == 2


async def test_a_sender_may_waive_what_the_domain_demands_but_not_what_we_do(world: World) -> None:
    """RFC 8689 section 4.2.2; reports on TLS go like that, and are not reported on."""
    waived = b"TLS-Required: No\r\n" + MESSAGE
    peer = await world.b_test(STRANGE)
    world.publish("enforce", "elsewhere.test")

    assert isinstance(await world.mail(), Wait)
    assert await world.mail(octets=waived) == Ack()
    assert [result.failure for result in await world.results()] == ["validation-failure"]

    await set_tls_policy(world.station.pool, TlsPolicy(domain="b.test", level="verify"))
    assert isinstance(await world.mail(octets=waived), Wait)
    assert len(peer.accepted) == 1


async def test_dane_only_is_dane_or_nothing_whatever_certificate_there_is(world: World) -> None:
    await set_tls_policy(world.station.pool, TlsPolicy(domain="b.test", level="dane-only"))
    peer = await world.b_test(GOOD)
    assert isinstance(await world.mail(), Wait)
    assert "no usable TLSA records" in await world.replies()
    world.prove(str(GOOD.tlsa(1)))  # a usage that SMTP cannot use
    assert isinstance(await world.mail(), Wait)
    assert peer.connections == 0

    world.prove(str(GOOD.tlsa(3)))
    assert await world.mail() == Ack()

    assert len(peer.accepted) == peer.encrypted == 1
    assert [(each.failure, each.sessions) for each in await world.results()] == [
        ("dane-required", 2),
        ("", 1),
    ]


async def test_an_ordinary_session_is_counted_too(world: World) -> None:
    await world.b_test(STRANGE)
    assert await world.mail() == Ack()
    await world.b_test(GOOD, PLAIN)
    assert await world.mail() == Ack()

    good, bad = await world.results()
    assert (good.kind, good.failure, good.sessions) == ("no-policy-found", "", 1)
    assert (bad.kind, bad.failure) == ("no-policy-found", "starttls-not-supported")
