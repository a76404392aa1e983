"""Viruses and spam refused at the last octet by Debian's scanners, through ingress and policy."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from posthouse.storage.pool import Pool
from posthouse.storage.trace import find
from support.dialogue import play
from support.place import Place
from support.scanners import EICAR, GTUBE, VIRUS, clamd, rspamd, spamd

pytestmark = pytest.mark.integration

TO_DATA = (
    "S: 220 …\nC: EHLO mx.far.test\nS* 250 …\nC: MAIL FROM:<eve@far.test>\nS: 250 …\n"
    "C: RCPT TO:<anna@example.test>\nS: 250 …\nC: DATA\nS: 354 …"
)
HEAD = b"From: <eve@far.test>\r\nSubject: hello\r\n\r\n"
INFECTED = HEAD + EICAR.encode() + b"\r\n"
FILLING = b"".join(b"line %070d\r\n" % n for n in range(9_000))
REFUSED = "550 5.7.1 Message refused: it carries a virus\r\n"
LATER = "451 4.7.1 Message cannot be judged now, try again later\r\n"


def told(place: Place, **words: object) -> Place:
    more = {f"POSTHOUSE_{name}": str(word) for name, word in words.items()}
    return replace(place, env=place.env | more)


async def sent(place: Place, octets: bytes) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
    try:
        await play(TO_DATA, reader, writer)
        writer.write(octets + b".\r\n")
        await writer.drain()
        return (await reader.readline()).decode()
    finally:
        writer.close()


def stored(place: Place) -> list[Path]:
    return [*place.store.rglob("*.eml"), *place.store.rglob("judging/*")]


@pytest.mark.parametrize("ours", ["192.0.2.0/24", "127.0.0.0/8"], ids=["strangers", "ours"])
async def test_a_virus_is_refused_at_data_and_its_name_stands_in_the_log_alone(
    place: Place, pool: Pool, capfd: pytest.CaptureFixture[str], ours: str
) -> None:
    with clamd() as scanner:
        here = told(place, CLAMD=scanner.socket, LOG_LEVEL="INFO", RELAY_NETWORKS=ours)
        async with here.running("policy_engine"), here.running("ingress_smtp"):
            small = await sent(here, INFECTED)
            large = await sent(here, HEAD + FILLING + EICAR.encode() + b"\r\n")
            clean = await sent(here, HEAD + FILLING)

    logged = [line for line in capfd.readouterr().out.splitlines() if "virus found" in line]
    assert (small, large, clean[:4]) == (REFUSED, REFUSED, "250 ")
    assert len(logged) == 2
    assert all(VIRUS in line for line in logged)
    assert len(await find(pool)) == len(stored(place)) == 1


async def test_mail_waits_while_the_virus_scanner_is_away_and_no_longer(
    place: Place, pool: Pool
) -> None:
    with clamd() as scanner:
        here = told(place, CLAMD=scanner.address)
        async with here.running("policy_engine"), here.running("ingress_smtp"):
            scanner.kill()
            assert [await sent(here, HEAD + b"hi\r\n") for _ in range(2)] == [LATER] * 2
            assert not await find(pool)
            with clamd(scanner.port):
                replies = [LATER]
                async with asyncio.timeout(60):
                    while replies[-1] == LATER:
                        replies.append(await sent(here, HEAD + b"hi\r\n"))
                assert await sent(here, INFECTED) == REFUSED

    assert replies[-1].startswith("250 ")
    assert len(await find(pool)) == 1


async def test_spam_is_refused_as_long_as_one_scanner_says_so_and_passes_when_none_is_there(
    place: Place, pool: Pool
) -> None:
    spam = HEAD + GTUBE.encode() + b"\r\n"
    with spamd() as assassin, rspamd() as filtering:
        here = told(place, SPAMD=assassin.address, RSPAMD=filtering.address)
        async with here.running("policy_engine"), here.running("ingress_smtp"):
            by_action = await sent(here, spam)
            filtering.kill()
            by_score = await sent(here, spam)
            assassin.kill()
            passed = await sent(here, spam)

    assert by_score == by_action == "550 5.7.1 Message refused: it looks like spam\r\n"
    assert passed.startswith("250 ")
    [found] = await find(pool)
    verdict = str(await pool.fetchval("select verdict from envelopes where id = $1", found.id))
    assert "RSPAMD_AWAY" in verdict
    assert '"SPAMD_AWAY' in verdict
