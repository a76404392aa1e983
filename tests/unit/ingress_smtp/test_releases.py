"""ETRN: who may release what waits for a domain, and how often (RFC 1985)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from ingress_smtp.releases import MAX_DOMAINS, WHAT, Means, Measure, Pace, Releases
from posthouse.mail.answers import Answer, Empty, Exchange, Found, Temporary
from posthouse.mail.envelope import Envelope, InboundRecipient, Remote
from posthouse.mail.errors import Unavailable
from posthouse.mail.hops import parse_hop
from posthouse.mail.ids import new_id
from posthouse.mail.networks import parse_networks
from posthouse.mail.rates import Buckets
from posthouse.storage.directory import Route

SITE, STRANGER = "192.0.2.25", "198.51.100.9"


@dataclass
class World:
    """DNS, routes, the ledger and the roads on paper."""

    exchanges: dict[str, Answer[Exchange]] = field(default_factory=dict)
    hosts: dict[str, Answer[str]] = field(default_factory=dict)
    routes: dict[str, str] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    published: list[Envelope] = field(default_factory=list)
    looked_up: int = 0
    is_away: bool = False
    may_go_on: asyncio.Event = field(default_factory=asyncio.Event)
    now: float = 0.0
    served_by_others: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.buckets = Buckets(lambda: self.now)

    async def mx(self, domain: str) -> Answer[Exchange]:
        self.looked_up += 1
        return self.exchanges.get(domain, Empty(exists=False))

    async def addresses(self, host: str) -> Answer[str]:
        return self.hosts.get(host, Empty(exists=False))

    async def route(self, domain: str) -> Route | None:
        host = self.routes.get(domain)
        return Route(domain=domain, hops=(parse_hop(host),)) if host else None

    async def release(self, domain: str, *, below: bool, limit: int) -> list[Remote]:
        await self.may_go_on.wait()
        if self.is_away:
            raise Unavailable("the ledger is away")
        names = [
            name
            for name in self.waiting
            if name == domain or (below and name.endswith(f".{domain}"))
        ]
        count = min(limit, sum(self.waiting.pop(name) for name in names))
        to = (InboundRecipient(n=0, address=f"x@{domain}"),)
        return [
            Remote(id=new_id(), sender="", size=1, domain=domain, recipients=to)
            for _ in range(count)
        ]  # fmt: skip

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        self.published.extend(envelopes)

    def releases(self, networks: str = "") -> Releases:
        self.may_go_on.set()
        means = Means(release=self.release, route=self.route, resolver=self, outbox=self)
        measure = Measure(networks=parse_networks(networks), recipients=5)
        return Releases(means, measure, Pace(buckets=self.buckets, ask=self.hear))

    async def hear(self) -> None:
        """Let the buckets know what another pod has released."""
        told = self.buckets.told()
        self.buckets.learn(told, {(name, WHAT): 60.0 for name in self.served_by_others})


def world() -> World:
    return World(
        exchanges={
            "site.test": Found((Exchange(10, "mx.site.test"), Exchange(20, "backup.test"))),
            "null.test": Found((Exchange(0, ""),)),
            "sick.test": Temporary("SERVFAIL"),
            "half.test": Found((Exchange(10, "sick-host.test"), Exchange(20, "mx.site.test"))),
            "bare.test": Empty(exists=True),
        },
        hosts={
            "mx.site.test": Found((SITE, "2001:db8::25")),
            "backup.test": Found(("192.0.2.26",)),
            "bare.test": Found((SITE,)),
            "sick-host.test": Temporary("SERVFAIL"),
        },
        routes={
            "routed.test": "[192.0.2.77]",
            "named.test": "mx.site.test",
            "by-mx.test": "mx:site.test",
        },
        waiting={"site.test": 2, "sub.site.test": 1, "routed.test": 1, "notsite.test": 9},
    )


async def said(releases: Releases, domain: str, client: str, *, below: bool = False) -> str:
    return str(await releases.release(domain, client, below=below))[:9]


@pytest.mark.parametrize(
    ("domain", "client", "reply"),
    [
        ("site.test", SITE, "253 2.0.0"),
        ("site.test", f"::ffff:{SITE}", "253 2.0.0"),
        ("site.test", "2001:DB8:0::25", "253 2.0.0"),
        ("site.test", "192.0.2.26", "253 2.0.0"),
        ("site.test", STRANGER, "459 4.7.1"),
        ("site.test", "unknown", "459 4.7.1"),
        ("other.test", SITE, "459 4.7.1"),
        ("null.test", SITE, "459 4.7.1"),
        ("bare.test", SITE, "251 2.0.0"),
        ("routed.test", "192.0.2.77", "253 2.0.0"),
        ("routed.test", SITE, "459 4.7.1"),
        ("named.test", SITE, "251 2.0.0"),
        ("by-mx.test", SITE, "251 2.0.0"),
        ("by-mx.test", STRANGER, "459 4.7.1"),
        ("half.test", SITE, "251 2.0.0"),
        ("half.test", STRANGER, "458 4.3.0"),
        ("sick.test", SITE, "458 4.3.0"),
        ("notsite.test", "10.9.8.7", "253 2.0.0"),
    ],
)
async def test_only_a_server_of_the_domain_or_a_listed_client_may_ask(
    domain: str, client: str, reply: str
) -> None:
    here = world()

    assert await said(here.releases("10.9.0.0/16"), domain, client) == reply
    assert all(isinstance(each, Remote) and each.on_request for each in here.published)
    assert bool(here.published) is reply.startswith("253")


async def test_what_is_below_is_released_only_if_asked_for() -> None:
    here = world()

    await said(here.releases(), "site.test", SITE)
    assert len(here.published) == 2
    here = world()
    await said(here.releases(), "site.test", SITE, below=True)
    assert len(here.published) == 3


async def test_a_domain_is_released_once_in_a_while_and_so_much_at_once() -> None:
    here = world()
    here.waiting["site.test"] = 50
    releases = here.releases()

    assert await said(releases, "site.test", SITE) == "253 2.0.0"
    assert len(here.published) == 5
    here.waiting["site.test"] = 50
    assert await said(releases, "site.test", "192.0.2.26") == "458 4.7.1"
    here.now += Measure().pause / timedelta(seconds=1)
    assert await said(releases, "site.test", SITE) == "253 2.0.0"


async def test_what_another_pod_has_released_is_not_released_again() -> None:
    here = world()
    here.served_by_others = ["site.test"]

    assert await said(here.releases(), "site.test", SITE) == "458 4.7.1"
    assert not here.published


async def test_one_client_cannot_make_us_ask_dns_for_ever() -> None:
    here = world()
    releases = here.releases()

    replies = [await said(releases, f"{n}.test", STRANGER) for n in range(MAX_DOMAINS + 20)]

    assert replies.count("459 4.7.1") == here.looked_up == MAX_DOMAINS
    assert replies[-1] == "458 4.7.1"
    assert await said(releases, "site.test", SITE) == "253 2.0.0"


async def test_few_are_served_at_a_time() -> None:
    here = world()
    releases = here.releases()
    here.may_go_on.clear()

    async with asyncio.TaskGroup() as tasks:
        first = [
            tasks.create_task(said(releases, name, SITE)) for name in ("site.test", "bare.test")
        ]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert await said(releases, "named.test", SITE) == "458 4.7.1"
        here.may_go_on.set()

    assert sorted(task.result() for task in first) == ["251 2.0.0", "253 2.0.0"]
    assert await said(releases, "named.test", SITE) == "251 2.0.0"


async def test_while_the_ledger_is_away_nothing_is_promised_or_blamed() -> None:
    here = world()
    releases = here.releases()
    here.is_away = True

    assert await said(releases, "site.test", SITE) == "458 4.3.0"
    here.is_away = False
    assert await said(releases, "site.test", SITE) == "253 2.0.0"
