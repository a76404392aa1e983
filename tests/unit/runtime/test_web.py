"""HTTPS to others, with a real server: bounded, proved, never led elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from posthouse.resolver import Resolver
from posthouse.runtime.tls import client_context
from posthouse.runtime.web import Web, WebFailure, is_outside
from support.chains import authority
from support.dns_zone import Zone, serve_zone
from support.sts_site import Site, serve_site

ROOT = authority()
RECORDS = {
    "a.test": ["A 127.0.0.1"],
    "other.test": ["A 127.0.0.1"],
    "sick.test": ["SERVFAIL"],
    "closed.test": ["A 127.0.0.2"],
}


@dataclass
class World:
    web: Web
    site: Site
    zone: Zone


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        zone = await enter(serve_zone(RECORDS))
        site = await enter(serve_site(ROOT.issue("a.test").server(tmp_path)))
        trust = client_context(authorities=ROOT.pem(tmp_path / "root.pem"))
        resolver = Resolver(zone.nameservers, lifetime=timedelta(seconds=1))
        web = await enter(
            Web(resolver, trust, port=site.port, patience=timedelta(seconds=1), inner=True)
        )
        yield World(web, site, zone)


async def test_a_small_answer_comes_whole(world: World) -> None:
    world.site.text, world.site.status, world.site.media_type = "hello", 404, "Text/HTML"

    page = await world.web.get("https://a.test/x", 100)

    assert (page.status, page.media_type, page.octets) == (404, "text/html", b"hello")


async def test_a_large_one_does_not(world: World) -> None:
    world.site.text = "x" * 101

    with pytest.raises(WebFailure, match="more than 100 octets"):
        await world.web.get("https://a.test/x", 100)


async def test_nobody_leads_us_elsewhere(world: World) -> None:
    world.site.status, world.site.headers = 302, {"Location": "https://a.test/y"}

    assert (await world.web.get("https://a.test/x", 100)).status == 302
    assert world.site.asked == ["GET a.test/x"]


async def test_who_does_not_prove_the_name_is_not_asked(world: World) -> None:
    with pytest.raises(WebFailure, match="certificate") as failure:
        await world.web.get("https://other.test/x", 100)

    assert failure.value.is_certificate
    assert world.site.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "https://nowhere.test/", "https://sick.test/", "https://closed.test/", "http://a.test/",
        "https://", "https://a.test:1/", "ftp://a.test/", "https://a..test/",
    ],
)  # fmt: skip
async def test_what_cannot_be_reached_is_told(world: World, url: str) -> None:
    with pytest.raises(WebFailure) as failure:
        await world.web.get(url, 100)

    assert not failure.value.is_certificate
    assert str(failure.value)


async def test_time_is_bounded(world: World) -> None:
    is_over = asyncio.Event()

    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.read()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        is_over.set()

    async with await asyncio.start_server(silence, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        resolver = Resolver(world.zone.nameservers)
        async with Web(
            resolver,
            client_context(),
            port=port,
            patience=timedelta(milliseconds=100),
            inner=True,
        ) as web:
            with pytest.raises(WebFailure, match="TimeoutError"):
                await web.get("https://a.test/", 100)
        await is_over.wait()


async def test_octets_are_brought(world: World) -> None:
    page = await world.web.post("https://a.test/in", b"\x1f\x8b", "application/tlsrpt+gzip")

    assert page.status == 200
    assert world.site.posted == [("application/tlsrpt+gzip", b"\x1f\x8b")]


@pytest.mark.parametrize(
    "url", ["https://a.test/in", "https://127.0.0.1/in", "https://a.test:{}/in"]
)
async def test_nobody_leads_us_to_inner_addresses(world: World, url: str) -> None:
    """Both a name and a literal, at our port and at one that the address names."""
    port = world.site.port
    async with Web(Resolver(world.zone.nameservers), client_context(), port=port) as web:
        with pytest.raises(WebFailure, match=r"127\.0\.0\.1 is no address of the Internet"):
            await web.post(url.format(port), b"x", "application/tlsrpt+gzip")

    assert world.site.posted == []


@pytest.mark.parametrize(
    ("address", "outside"),
    [
        ("8.8.8.8", True), ("2001:4860:4860::8888", True), ("::ffff:8.8.8.8", True),
        ("64:ff9b::808:808", True), ("2002:808:808::1", True),
        ("127.0.0.1", False), ("10.0.0.1", False), ("172.16.0.1", False), ("192.168.0.1", False),
        ("169.254.169.254", False), ("0.0.0.1", False), ("100.64.0.1", False), ("224.0.0.1", False),
        ("::1", False), ("::", False), ("fe80::1", False), ("fd00::1", False), ("ff0e::1", False),
        ("::ffff:127.0.0.1", False), ("::ffff:a00:1", False), ("64:ff9b::a00:1", False),
        ("2002:a00:1::1", False), ("fe80::1%lo", False), ("fec0::1", False), ("::7f00:1", False),
    ],
)  # fmt: skip
def test_what_the_internet_can_reach(address: str, outside: bool) -> None:  # noqa: FBT001
    assert is_outside(address) is outside
