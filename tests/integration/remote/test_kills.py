"""kill -9 of delivery-remote at every step of a mail, under load, and a count of every Message-ID.

The servers stop at a step, nothing in the product does: the one that gets the mail, or the wire to
PostgreSQL or RabbitMQ, which drops what is said from then on. Another process stands by. No mail is
lost; only what a server has taken and the ledger does not know yet may come again, and once.
"""

from __future__ import annotations

import asyncio
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest

from posthouse.storage.pool import Pool
from support.forks import Forked
from support.outside_world import OutsideWorld
from support.remote_service import Office, come_true, open_office
from support.roads import until
from support.scripted_smtp import POLITE, Peer, scripted
from support.wires import Wire, wire

pytestmark = pytest.mark.integration

MAILS = 25
IN_HAND = 5  # as many sessions as a destination gets at first
LETTER = b"Subject: kill\r\nMessage-ID: <{id}@example.test>\r\n\r\nHello.\r\n"
LARGE = LETTER + (b"x" * 70 + b"\r\n") * 120_000  # more than the buffers between us hold
_MESSAGE_ID = re.compile(rb"^Message-ID: (\S+)\r$", re.MULTILINE)


@pytest.fixture
async def peer(world: OutsideWorld) -> AsyncIterator[Peer]:
    """A server for b.test, which counts."""
    address = world.server()
    world.domain("b.test", address)
    roomy = {**POLITE, "EHLO": "250-peer.test\n250-PIPELINING\n250 SIZE 20000000"}
    async with scripted(roomy, port=world.port, host=address.address) as peer:
        yield peer


@dataclass
class Place:
    """Two processes of the service: one to be killed, on wires, and its successor.

    Attributes:
        office: Without wires.
        postgresql: The wire of the first.
        rabbitmq: Likewise.
    """

    office: Office
    postgresql: Wire
    rabbitmq: Wire
    successor: int = 0
    _first: Forked | None = field(default=None)

    async def start(self) -> None:
        """Start the one that will be killed."""
        urls = {
            "POSTHOUSE_DATABASE_URL": self.postgresql.url,
            "POSTHOUSE_BROKER_URL": self.rabbitmq.url,
        }
        on_wires = replace(self.office, settings={**self.office.settings, **urls})
        self._first, _ = await on_wires.start()

    async def end(self, blow: signal.Signals) -> int:
        """End the first; return its exit code."""
        assert self._first is not None
        return await self.office.stop(self._first, blow)

    async def replaced(self) -> int:
        """Kill the first, start another; return the exit code."""
        code = await self.end(signal.SIGKILL)
        await self.succeed()
        return code

    async def succeed(self) -> None:
        """Start the successor."""
        _, self.successor = await self.office.start()


@pytest.fixture
async def place(
    pool: Pool, postgres_url: str, broker_url: str, tmp_path: Path, world: OutsideWorld
) -> AsyncIterator[Place]:
    async with (
        open_office(pool, postgres_url, broker_url, tmp_path, world.settings) as office,
        wire(postgres_url) as postgresql,
        wire(broker_url) as rabbitmq,
    ):
        yield Place(office, postgresql, rabbitmq)


@dataclass
class Halt:
    """Holds conversations at a step until they are let go, or their client is dead."""

    caught: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    cuts: bool = True

    async def __call__(self) -> None:
        if not self.gone.is_set():
            self.caught += 1
            await self.gone.wait()
            if self.cuts:
                raise ConnectionAbortedError

    def go(self) -> None:
        """Let everybody go on."""
        self.gone.set()


@dataclass
class Together:
    """Holds conversations at a step until all sessions are there; then the deed, and on they go."""

    deed: Callable[[], None]
    there: int = 0
    done: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self) -> None:
        self.there += 1
        if self.there == IN_HAND:
            self.deed()
            self.done.set()
        await self.done.wait()


def _arrived(peer: Peer) -> Counter[bytes]:
    """Count every Message-ID that was answered with 250."""
    found = [_MESSAGE_ID.search(octets) for octets in peer.accepted]
    return Counter(match[1] for match in found if match)


@pytest.mark.parametrize("step", ["connect", "MAIL", "RCPT", "DATA", "content"])
async def test_killed_before_the_final_dot_everything_arrives_once(
    place: Place, peer: Peer, step: str
) -> None:
    halt = peer.before[step] = Halt()
    letter, mails = (LARGE, IN_HAND) if step == "content" else (LETTER, MAILS)
    await place.start()
    await place.office.post("b.test", mails, letter)
    await until(lambda: halt.caught == IN_HAND, "all sessions are at this step")

    assert await place.replaced() == -signal.SIGKILL
    halt.go()
    await place.office.all_settled()

    assert sorted(_arrived(peer).values()) == [1] * mails
    assert await place.office.states() == {"relayed": mails}


async def test_killed_between_250_and_commit_only_what_was_in_hand_comes_twice(
    place: Place, peer: Peer
) -> None:
    peer.before["."] = Together(place.postgresql.hold)
    await place.start()
    await place.office.post("b.test", MAILS, LETTER)
    await until(lambda: len(peer.accepted) == IN_HAND, "all sessions got their 250")

    await place.replaced()
    await place.office.all_settled()

    assert sorted(_arrived(peer).values()) == [1] * (MAILS - IN_HAND) + [2] * IN_HAND
    assert await place.office.states() == {"relayed": MAILS}


async def test_killed_between_commit_and_acknowledgement_nothing_comes_twice(
    place: Place, peer: Peer
) -> None:
    peer.before["."] = Together(place.rabbitmq.hold)
    await place.start()
    await place.office.post("b.test", MAILS, LETTER)
    await place.office.all_settled()

    await place.replaced()
    await come_true(lambda: _dropped(place.successor, MAILS), within=60)

    assert sorted(_arrived(peer).values()) == [1] * MAILS
    assert await place.office.states() == {"relayed": MAILS}


async def _dropped(port: int, count: int) -> bool:
    async with httpx.AsyncClient() as client:
        metrics = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    return f'posthouse_remote_copies_total{{why="done"}} {count}.0' in metrics


def _asked(peer: Peer) -> int:
    return sum(1 for command in peer.commands if command.startswith("RCPT"))


async def _bounced(place: Place) -> bool:
    return (await place.office.states()).get("bounced") == IN_HAND


async def _reports(pool: Pool) -> list[int]:
    """Return how many reports each bounced mail has."""
    rows = await pool.fetch(
        "select count(*) as n from envelopes where origin = 'bounce' group by subject_id"
    )
    return [row["n"] for row in rows]


async def test_killed_between_550_and_commit_each_sender_gets_one_report(
    place: Place, peer: Peer
) -> None:
    peer.say(RCPT="550 5.1.1 unknown")
    peer.before["RCPT"] = Together(place.postgresql.hold)
    await place.start()
    await place.office.post("b.test", IN_HAND, LETTER)
    await until(lambda: _asked(peer) == IN_HAND and bool(place.postgresql.dropped), "all were told")

    await place.replaced()
    await come_true(lambda: _bounced(place), within=60)

    assert await _reports(place.office.pool) == [1] * IN_HAND
    assert not _arrived(peer)


async def test_killed_before_reports_are_published_they_wait_for_the_sweeper(
    place: Place, peer: Peer
) -> None:
    peer.say(RCPT="550 5.1.1 unknown")
    peer.before["RCPT"] = Together(place.rabbitmq.hold)
    await place.start()
    await place.office.post("b.test", IN_HAND, LETTER)
    await come_true(lambda: _bounced(place), within=60)

    await place.replaced()
    await come_true(lambda: _dropped(place.successor, IN_HAND), within=60)

    assert await _reports(place.office.pool) == [1] * IN_HAND
    waiting = await place.office.pool.fetchval(
        "select count(*) from unpublished join envelopes using (id) where origin = 'bounce'"
    )
    assert waiting == IN_HAND


@pytest.mark.parametrize("step", ["RCPT", "."])
async def test_told_to_stop_in_the_middle_everything_arrives_once(
    place: Place, peer: Peer, step: str
) -> None:
    halt = peer.before[step] = Halt(cuts=False)
    await place.start()
    await place.succeed()  # takes over what was not begun
    await place.office.post("b.test", MAILS, LETTER)
    await until(lambda: halt.caught == IN_HAND, "all sessions are at this step")

    ending = asyncio.create_task(place.end(signal.SIGTERM))
    halt.go()
    assert await ending == 0
    await place.office.all_settled()

    assert sorted(_arrived(peer).values()) == [1] * MAILS
    assert await place.office.states() == {"relayed": MAILS}


@pytest.mark.parametrize("server", ["postgresql", "rabbitmq"])
async def test_if_a_server_of_ours_breaks_off_nothing_comes_twice(
    place: Place, peer: Peer, server: str
) -> None:
    async def break_off() -> None:
        {"postgresql": place.postgresql, "rabbitmq": place.rabbitmq}[server].cut()

    await place.start()
    await place.succeed()
    peer.before["."] = break_off  # at each mail, under load
    await place.office.post("b.test", MAILS, LETTER)
    await until(lambda: len(peer.accepted) >= IN_HAND, "it has happened often enough")
    del peer.before["."]
    await place.office.all_settled()

    assert sorted(_arrived(peer).values()) == [1] * MAILS
    assert await place.office.states() == {"relayed": MAILS}
