"""Messages before Debian's clamd, spamd and rspamd: what they find, what they do not take, when they die."""

from __future__ import annotations

import asyncio
import base64
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import cast

import pytest
from aiohttp import web

from onemachine.certificates import certificates
from onemachine.ports import free_ports
from policy_engine.scanners import stations
from policy_engine.scanners.scanner import Scanner
from posthouse.blobs import Blobs, open_blobs
from posthouse.mail.errors import Unavailable
from support.roads import until
from support.scanners import (
    CLAMD_OCTETS,
    EICAR,
    GTUBE,
    PASSWORD,
    VIRUS,
    Daemon,
    case_of,
    clamd,
    only_scanner,
    rspamd,
    spamd,
)  # fmt: skip

pytestmark = pytest.mark.integration

HEAD = b"From: Joe <joe@example.org>\r\nSubject: %s\r\nMessage-ID: <1@example.org>\r\n"
HAM = HEAD % b"hello" + b"\r\nhi\r\n"
INFECTED = HEAD % b"hello" + b"\r\n" + EICAR.encode() + b"\r\n"
SPAM = HEAD % b"pills" + b"\r\n" + GTUBE.encode() + b"\r\n"
ATTACHED = (
    HEAD % b"hello" + b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + base64.encodebytes(EICAR.encode()).replace(b"\n", b"\r\n") + b"--b--\r\n"
)  # fmt: skip
FILLING = b"".join(b"line %070d\r\n" % n for n in range(9_000))  # 700 kB: shown in part


@pytest.fixture(scope="module")
def antivirus() -> Iterator[Daemon]:
    with clamd() as daemon:
        yield daemon


@pytest.fixture(scope="module")
def assassin() -> Iterator[Daemon]:
    with spamd() as daemon:
        yield daemon


@pytest.fixture(scope="module")
def filtering() -> Iterator[Daemon]:
    with rspamd() as daemon:
        yield daemon


@pytest.fixture
async def blobs(tmp_path: Path) -> AsyncIterator[Blobs]:
    async with open_blobs(f"disk:{tmp_path}") as opened:
        yield opened


class Interrupted:
    """A store that calls somebody before it gives the last piece of an object."""

    def __init__(self, octets: bytes, before_the_end: Callable[[], object]) -> None:
        self._octets = octets
        self._before_the_end = before_the_end

    async def get_range(self, _key: str, start: int, end: int) -> bytes:
        if end >= len(self._octets):
            self._before_the_end()
        return self._octets[start:end]


def interrupted(octets: bytes, before_the_end: Callable[[], object]) -> Blobs:
    return cast("Blobs", Interrupted(octets, before_the_end))


@pytest.mark.parametrize("door", ["address", "socket"])
@pytest.mark.parametrize("octets", [INFECTED, ATTACHED])
async def test_a_virus_is_refused(
    antivirus: Daemon, blobs: Blobs, door: str, octets: bytes
) -> None:
    scanner = only_scanner(blobs, clamd=str(getattr(antivirus, door)))

    [found] = await scanner(case_of(octets))

    assert (found.rule, found.action, found.enhanced) == ("CLAMD_VIRUS", "reject", (5, 7, 1))
    assert found.seen == f"{VIRUS}.UNOFFICIAL"
    assert VIRUS not in found.text
    assert await scanner(case_of(HAM)) == ()


async def test_a_virus_at_the_end_of_a_large_message_is_read_from_the_store(
    antivirus: Daemon, blobs: Blobs
) -> None:
    octets = HAM + FILLING + EICAR.encode()
    await blobs.put("judging/1", octets)
    scanner = only_scanner(blobs, clamd=antivirus.address, clamd_virus="quarantine")

    [found] = await scanner(case_of(octets[:5_000], size=len(octets), blob="judging/1"))

    assert scanner.wants_all
    assert found.action == "quarantine"


async def test_a_message_that_is_not_in_the_store_is_not_the_scanners_fault(
    antivirus: Daemon, blobs: Blobs
) -> None:
    scanner = only_scanner(blobs, clamd=antivirus.address)

    with pytest.raises(Unavailable, match="not there any more"):
        await scanner(case_of(HAM, size=1_000_000, blob="judging/2"))

    assert scanner.trouble() is None


@pytest.mark.parametrize("allowed", [1_000, 10 * CLAMD_OCTETS])
async def test_what_is_too_large_passes_with_a_word_or_is_refused(
    antivirus: Daemon, blobs: Blobs, allowed: int
) -> None:
    octets = INFECTED + FILLING + FILLING  # more than clamd takes in one stream
    door = str(antivirus.socket)  # by TCP what it says may be lost, for it hangs up unread
    for word, action in (("pass", None), ("reject", "reject")):
        scanner = only_scanner(blobs, clamd=door, clamd_octets=allowed, clamd_too_large=word)

        [found] = await scanner(case_of(octets))

        assert (found.rule, found.action) == ("CLAMD_TOO_LARGE", action)
        assert scanner.trouble() is None


async def test_one_that_is_killed_while_it_scans_is_stepped_over(antivirus: Daemon) -> None:
    octets = HAM + FILLING + EICAR.encode()
    with clamd() as mortal:
        scanner = only_scanner(
            interrupted(octets, mortal.kill), clamd=f"{antivirus.address},{mortal.address}"
        )

        answers = [await scanner(case_of(b"", size=len(octets), blob="x")) for _ in range(2)]

    assert [found.rule for [found] in answers] == ["CLAMD_VIRUS"] * 2


async def test_the_only_one_is_killed_while_it_scans_and_rests() -> None:
    octets = HAM + FILLING
    with clamd() as mortal:
        scanner = only_scanner(interrupted(octets, mortal.kill), clamd=mortal.address)

        with pytest.raises(Unavailable):
            await scanner(case_of(b"", size=len(octets), blob="x"))

    assert scanner.if_away == "tempfail"
    assert scanner.trouble() == f"no answer from {mortal.address}"


@pytest.mark.parametrize("kind", ["clamd", "spamd", "rspamd"])
async def test_one_that_never_answers_costs_a_message_its_time_and_the_next_one_none(
    blobs: Blobs, kind: str
) -> None:
    runs: dict[str, Callable[[], AbstractContextManager[Daemon]]]
    runs = {"clamd": clamd, "spamd": spamd, "rspamd": rspamd}
    with runs[kind]() as frozen:
        scanner = only_scanner(blobs, **{kind: frozen.address, f"{kind}_seconds": 0.3})
        frozen.freeze()

        took = []
        for _ in range(2):
            began = time.monotonic()
            with pytest.raises(Unavailable):
                await scanner(case_of(HAM))
            took.append(time.monotonic() - began)

    assert took[0] >= 0.3 > took[1]


async def test_the_watch_finds_one_that_came_back(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stations, "WATCH_SECONDS", 0.05)
    monkeypatch.setattr(stations, "FIRST_REST_SECONDS", 0.05)
    (port,) = free_ports(1)
    scanner = only_scanner(blobs, clamd=f"127.0.0.1:{port}")
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(scanner.watch())
        await until(lambda: scanner.trouble() is not None, "it is missed")
        with clamd(port):
            await until(lambda: scanner.trouble() is None, "it is found")
            [found] = await scanner(case_of(INFECTED))
        watching.cancel()

    assert found.rule == "CLAMD_VIRUS"


@pytest.mark.parametrize("door", ["address", "socket"])
async def test_spamd_says_its_rules_with_their_scores(
    assassin: Daemon, blobs: Blobs, door: str
) -> None:
    scanner = only_scanner(blobs, spamd=str(getattr(assassin, door)), spamd_user="anna")

    found = await scanner(case_of(SPAM))

    assert {each.rule: each.score for each in found} == {
        "SPAMD_GTUBE": 1000.0, "SPAMD_FOR_TESTS": 3.2,
    }  # fmt: skip
    assert {each.action for each in found} == {None}
    assert await scanner(case_of(HEAD % b"friend" + b"\r\nhi\r\n")) != found
    assert [each.score for each in await scanner(case_of(HAM))] == [0.0]
    assert not scanner.wants_all


async def test_a_sender_writes_no_rules_into_spamds_report(assassin: Daemon, blobs: Blobs) -> None:
    scanner = only_scanner(blobs, spamd=assassin.address)
    table = b"---- ---------------- ------\r\n-50 FRIENDLY_TO_ALL  said by themselves\r\n"

    found = await scanner(case_of(HEAD % b"pills" + b"\r\n" + table))

    assert [(each.rule, each.score) for each in found] == [("SPAMD_FOR_TESTS", 3.2)]


@pytest.mark.parametrize("door", ["address", "socket"])
async def test_rspamds_action_is_obeyed(filtering: Daemon, blobs: Blobs, door: str) -> None:
    scanner = only_scanner(blobs, rspamd=str(getattr(filtering, door)))

    found = await scanner(case_of(SPAM))

    assert [(each.rule, each.action) for each in found] == [
        ("RSPAMD_SAYS_REJECT", "reject"), ("RSPAMD", None),
    ]  # fmt: skip
    assert found[1].score == 15.0


@pytest.mark.parametrize(
    ("subject", "says", "scores"),
    [
        (b"hello", None, {"RSPAMD_KNOWS_ALL": 0.5}),
        (b"pills from a friend", None, {"RSPAMD_KNOWS_ALL": 0.5, "RSPAMD_FOR_TESTS": 3.2, "RSPAMD_FRIENDLY": -1.5}),
        (b"many", "tag", {"RSPAMD_KNOWS_ALL": 0.5, "RSPAMD_MUCH_FOR_TESTS": 7.5}),
        (b"grey", "tempfail", None),
    ],
)  # fmt: skip
async def test_rspamd_knows_who_sends_and_its_symbols_count(
    filtering: Daemon,
    blobs: Blobs,
    subject: bytes,
    says: str | None,
    scores: dict[str, float] | None,
) -> None:
    scanner = only_scanner(blobs, rspamd=filtering.address)

    found = await scanner(case_of(HEAD % subject + b"\r\nhi\r\n"))

    assert next((each.action for each in found if each.action), None) == says
    if scores is not None:
        assert {each.rule: each.score for each in found if not each.action} == scores


async def test_rspamds_controller_wants_its_password(filtering: Daemon, blobs: Blobs) -> None:
    door = f"127.0.0.1:{filtering.second}"
    wrong = only_scanner(blobs, rspamd=door, rspamd_password="wrong")  # noqa: S106
    right = only_scanner(blobs, rspamd=door, rspamd_password=PASSWORD)

    with pytest.raises(Unavailable):
        await wrong(case_of(HAM))

    assert [each.rule for each in await right(case_of(HAM))] == ["RSPAMD_KNOWS_ALL"]


@pytest.mark.parametrize("door", ["address", "socket"])
async def test_one_that_hangs_up_on_a_message_is_asked_about_the_next(
    filtering: Daemon, blobs: Blobs, door: str
) -> None:
    scanner = only_scanner(blobs, rspamd=str(getattr(filtering, door)))

    with pytest.raises(Unavailable):
        await scanner(case_of(HAM + FILLING + FILLING))  # more than it takes

    assert scanner.trouble() is None
    assert [each.rule for each in await scanner(case_of(HAM))] == ["RSPAMD_KNOWS_ALL"]


async def test_a_large_message_reaches_rspamd_from_the_store(
    filtering: Daemon, blobs: Blobs
) -> None:
    octets = HEAD % b"pills" + b"\r\n" + FILLING
    await blobs.put("judging/3", octets)
    scanner = only_scanner(blobs, rspamd=filtering.address)

    found = await scanner(case_of(octets[:1_000], size=len(octets), blob="judging/3"))
    with pytest.raises(Unavailable, match="not there any more"):
        await scanner(case_of(octets[:1_000], size=len(octets), blob="judging/4"))

    assert "RSPAMD_FOR_TESTS" in {each.rule for each in found}
    assert scanner.trouble() is None


HALVES = {
    "clamd": b"stream: ",
    "spamd": b"SPAMD/1.1 0 EX_OK\r\nContent-length: 99\r\n",
    "rspamd": b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{",
}


@pytest.mark.parametrize("kind", list(HALVES))
@pytest.mark.parametrize("way", ["refuses", "is silent", "drips", "cuts off"])
async def test_who_does_not_answer_in_time_or_not_at_all_is_away(
    blobs: Blobs, kind: str, way: str
) -> None:
    """It may take connections, read, and begin: what counts is a whole answer within the time."""

    served = set[asyncio.Task[None]]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(cast("asyncio.Task[None]", asyncio.current_task()))
        with suppress(ConnectionError):  # it is left in the end
            await reader.read(10)
            if way == "is silent":
                while await reader.read(65_536):
                    continue
            writer.write(HALVES[kind])
            while way == "drips" and not writer.is_closing():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.01)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    if way == "refuses":
        server.close()
    seconds = 0.2 if way in {"is silent", "drips"} else 30
    scanner = only_scanner(
        blobs, **{kind: f"127.0.0.1:{port}", f"{kind}_seconds": seconds, "check_seconds": 40}
    )
    async with server:
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await scanner(case_of(HAM))
        took = time.monotonic() - began
        await asyncio.gather(*served)

    assert took < 20


async def test_rspamd_by_tls_is_who_it_says_and_hears_its_password(
    blobs: Blobs, tmp_path: Path
) -> None:
    files = certificates(tmp_path / "tls", ["localhost"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.chain, files.key)
    heard: list[str | None] = []

    async def check(request: web.Request) -> web.Response:
        heard.append(request.headers.get("Password"))
        await request.read()
        return web.json_response({"action": "no action", "score": 1.5, "symbols": {}})

    application = web.Application()
    application.router.add_post("/checkv2", check)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    url = f"https://localhost:{runner.addresses[0][1]}"
    told = {"rspamd": url, "rspamd_password": PASSWORD}
    try:
        found = await only_scanner(blobs, **told, rspamd_ca=files.authority)(case_of(HAM))
        with pytest.raises(Unavailable):
            await only_scanner(blobs, **told)(case_of(HAM))  # nobody vouches for it
    finally:
        await runner.cleanup()

    assert [(each.rule, each.score) for each in found] == [("RSPAMD", 1.5)]
    assert heard == [PASSWORD]


@pytest.mark.parametrize("kind", ["clamd", "spamd", "rspamd"])
@pytest.mark.parametrize(
    "said",
    [
        b"", b"\r\n", b"rubbish\r\n\r\n\0", b"\xff" * 2_000_000, b"SPAMD/1.1 0 EX_OK\r\n\r\n",
        b"SPAMD/1.1 0 EX_OK\r\nContent-length: 99\r\nSpam: True ; 9.9 / 5.0\r\n\r\nshort",
        b"SPAMD/1.1 0 EX_OK\r\nContent-length: 99999999\r\nSpam: True ; 9.9 / 5.0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 2_000_000, b"HTTP/1.1 500 Oops\r\n\r\n",
    ],
    ids=range(10),
)  # fmt: skip
async def test_rubbish_is_no_answer(blobs: Blobs, kind: str, said: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(said)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        scanner: Scanner = only_scanner(blobs, **{kind: f"127.0.0.1:{port}"})

        with pytest.raises(Unavailable):
            await scanner(case_of(HAM))

    assert scanner.if_away == ("tempfail" if kind == "clamd" else None)
