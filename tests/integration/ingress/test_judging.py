"""Whole messages judged by a policy process, with DNS: refused, marked, taken under new fields, or later."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from posthouse.bus.ask import Asker
from posthouse.mail.content import ContentQuestion, ContentVerdict
from posthouse.mail.ids import new_id, object_key
from posthouse.storage.pool import Pool
from posthouse.storage.trace import find, timeline
from posthouse.storage.trace.timeline import Timeline
from support.dialogue import play
from support.dns_zone import Zone, serve_zone
from support.place import Place
from support.roads import until

pytestmark = pytest.mark.integration

TO_DATA = (
    "S: 220 …\nC: EHLO mx.far.test\nS* 250 …\nC: MAIL FROM:<eve@far.test>\nS: 250 …\n"
    "C: RCPT TO:<anna@example.test>\nS: 250 …\nC: DATA\nS: 354 …"
)
ZONE = {
    "far.test": ['TXT "v=spf1 ip4:127.0.0.1 -all"'],
    "mx.far.test": ["A 127.0.0.1"],
    "1.0.0.127.in-addr.arpa": ["PTR mx.far.test"],
    "bank.test": ['TXT "v=spf1 -all"'],
    "_dmarc.bank.test": ['TXT "v=DMARC1; p=reject"'],
    "shop.test": ['TXT "v=spf1 -all"'],
    "_dmarc.shop.test": ['TXT "v=DMARC1; p=quarantine"'],
}
HONEST = b"From: <eve@far.test>\r\nSubject: hello\r\n\r\n"
BODY = b"".join(b"line %065d\r\n" % n for n in range(145_000))  # 10 MiB


@asynccontextmanager
async def judging(place: Place, **told: str) -> AsyncIterator[tuple[Place, Zone]]:
    """Give the place DNS, and have it check who sends."""
    async with serve_zone(ZONE) as zone:
        env = {"AUTHENTICATION": "on", "NAMESERVERS": zone.nameservers, **told}
        more = {f"POSTHOUSE_{name}": text for name, text in env.items()}
        yield replace(place, env=place.env | more), zone


async def sent(port: int, octets: bytes) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        await play(TO_DATA, reader, writer)
        writer.write(octets + b".\r\n")
        await writer.drain()
        return (await reader.readline()).decode()
    finally:
        writer.close()


async def only_message(pool: Pool) -> Timeline:
    [found] = await find(pool)
    told = await timeline(pool, found.id)
    assert told is not None
    return told


async def test_forged_mail_is_refused_because_its_author_s_domain_wants_it(
    place: Place, pool: Pool
) -> None:
    async with (
        judging(place) as (here, _),
        here.running("policy_engine"),
        here.running("ingress_smtp"),
    ):
        reply = await sent(here.port, b"From: <boss@bank.test>\r\n\r\npay\r\n")

    assert reply == ("550 5.7.1 Message refused: its author's domain says it is forged (DMARC)\r\n")
    assert not await find(pool)
    assert list(place.store.rglob("*.eml")) == []


async def test_what_was_found_stands_on_top_in_the_place_of_forgeries(
    place: Place, pool: Pool
) -> None:
    forged = b"Authentication-Results: mx.example.test; dkim=pass\r\nX-Spam-Flag: NO\r\n"
    async with (
        judging(place) as (here, _),
        here.running("policy_engine"),
        here.running("ingress_smtp"),
    ):
        assert (await sent(here.port, forged + HONEST + b"hi\r\n")).startswith("250 ")

    told = await only_message(pool)
    octets = (place.store / object_key(told.envelope.id)).read_bytes()
    head = b" ".join(octets.partition(b"\r\n\r\n")[0].split())
    assert octets.startswith(b"Authentication-Results: mx.example.test;\r\n\tiprev=pass ")
    assert head.count(b"Authentication-Results:") == 1
    assert b"smtp.mailfrom=eve@far.test; dmarc=none " in head
    assert b" header.from=far.test Received: from " in head
    assert b"X-Spam" not in head
    assert octets.endswith(HONEST + b"hi\r\n")
    assert len(octets) == told.envelope.size
    assert told.envelope.verdict is not None
    assert ["SPF_PASS", 0.0] in told.envelope.verdict["rules"]


async def test_what_a_domain_has_doubts_about_is_marked_for_junk(place: Place, pool: Pool) -> None:
    async with (
        judging(place, SPAM_SUBJECT="[SPAM]") as (here, _),
        here.running("policy_engine"),
        here.running("ingress_smtp"),
    ):
        letter = b"From: <deals@shop.test>\r\nSubject: buy\r\n\r\nnow\r\n"
        assert (await sent(here.port, letter)).startswith("250 ")

    told = await only_message(pool)
    octets = (place.store / object_key(told.envelope.id)).read_bytes()
    assert b"X-Spam-Flag: YES\r\n" in octets
    assert b"Subject: [SPAM] buy\r\n" in octets
    assert told.events[1].detail.startswith("quarantine by DMARC_FAIL, 0 points: ")
    assert await pool.fetchval("select junk from envelopes")


async def test_a_large_message_keeps_each_octet_below_its_new_fields(
    place: Place, pool: Pool
) -> None:
    async with (
        judging(place) as (here, _),
        here.running("policy_engine"),
        here.running("ingress_smtp"),
    ):
        assert (await sent(here.port, HONEST + BODY)).startswith("250 ")

    told = await only_message(pool)
    octets = (place.store / object_key(told.envelope.id)).read_bytes()
    assert len(octets) == told.envelope.size
    assert octets.startswith(b"Authentication-Results: mx.example.test;\r\n\tiprev=pass ")
    assert octets.endswith(b"\r\n" + HONEST + BODY)
    assert list((place.store / ".unfinished").iterdir()) == []


async def test_a_policy_that_is_killed_while_it_judges_loses_and_doubles_nothing(
    place: Place, pool: Pool
) -> None:
    async with judging(place, CONTENT_SECONDS="20") as (here, zone), AsyncExitStack() as ingress:
        zone.records["far.test"] = ["SILENCE"]  # it thinks
        async with here.running("policy_engine") as first:
            await ingress.enter_async_context(here.running("ingress_smtp"))
            waiting = asyncio.create_task(sent(here.port, HONEST + b"hi\r\n"))
            await until(lambda: zone.asked["far.test", "TXT"] > 0, "it judges")
            first.send_signal(signal.SIGKILL)
            await first.wait()
        assert not waiting.done()
        zone.records["far.test"] = ZONE["far.test"]
        async with here.running("policy_engine"):
            reply = await waiting

    assert reply.startswith("250 ")
    assert (await only_message(pool)).envelope.verdict is not None


@pytest.mark.parametrize("auth", ["", "anna@example.test"])
async def test_where_nothing_is_set_nothing_is_judged(place: Place, auth: str) -> None:
    probe = ContentQuestion(
        id=new_id(), hostname="a.test", client="192.0.2.1", auth=auth, size=0, octets=b"",
        is_probe=True,
    )  # fmt: skip
    endpoint = place.env["POSTHOUSE_POLICY_ENDPOINTS"]
    async with (
        place.running("policy_engine"),
        Asker([endpoint], timedelta(seconds=20), ContentVerdict) as policy,
    ):
        letter = msgspec.structs.replace(probe, is_probe=False, octets=HONEST, size=len(HONEST))
        await policy.ask(letter)  # by then it has looked at what is set at run time

        assert (await policy.ask(probe)).rest_seconds > 0


async def test_strangers_come_back_when_nobody_judges(place: Place, pool: Pool) -> None:
    async with judging(place, CONTENT_SECONDS="0.5") as (here, _), AsyncExitStack() as ingress:
        async with here.running("policy_engine"):
            await ingress.enter_async_context(here.running("ingress_smtp"))
            reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
            await play(TO_DATA, reader, writer)
        writer.write(HONEST + b"hi\r\n.\r\n")
        reply = (await reader.readline()).decode()
        writer.close()

    assert reply == "451 4.7.1 Message cannot be judged now, try again later\r\n"
    assert not await find(pool)
