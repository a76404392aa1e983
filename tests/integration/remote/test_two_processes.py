"""Two processes of the service, one of which loses the broker, or its life, in a conversation."""

from __future__ import annotations

import asyncio
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from posthouse.storage.pool import Pool
from support.outside import MESSAGE
from support.outside_world import OutsideWorld
from support.remote_service import Office, come_true, open_office
from support.roads import Management, until
from support.scripted_smtp import POLITE, Peer, scripted

pytestmark = pytest.mark.integration

MAILS = 5  # as many sessions as a destination gets at first


@pytest.fixture
async def peer(world: OutsideWorld) -> AsyncIterator[Peer]:
    """A server for b.test."""
    address = world.server()
    world.domain("b.test", address)
    async with scripted(POLITE, port=world.port, host=address.address) as peer:
        yield peer


@pytest.fixture
async def office(
    pool: Pool, postgres_url: str, broker_url: str, tmp_path: Path, world: OutsideWorld
) -> AsyncIterator[Office]:
    async with open_office(pool, postgres_url, broker_url, tmp_path, world.settings) as opened:
        yield opened


async def _count(port: int, metric: str) -> float:
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    found = re.search(rf"^{re.escape(metric)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.mark.parametrize("word", ["DATA", "."])
async def test_if_one_loses_the_broker_in_a_conversation_the_other_does_not_send_too(
    office: Office, peer: Peer, broker_api: str, broker_url: str, word: str
) -> None:
    go_on = asyncio.Event()
    peer.before[word] = go_on.wait
    async with Management(broker_api, broker_url) as management:
        await office.start()
        first = await management.connections("consuming")
        _, port = await office.start()
        await office.post("b.test", MAILS, MESSAGE)
        await until(lambda: peer.open == MAILS, "all are under way")

        await management.close(first)

        async def is_put_off() -> bool:
            return await _count(port, 'posthouse_remote_copies_total{why="claimed"}') == MAILS

        await come_true(is_put_off, within=20)
    go_on.set()
    await office.all_settled()

    assert len(peer.accepted) == MAILS
    assert peer.connections == MAILS
    assert await office.states() == {"relayed": MAILS}


async def test_if_one_is_killed_in_a_conversation_the_other_sends_at_once(
    office: Office, peer: Peer
) -> None:
    is_dead = asyncio.Event()

    async def say_nothing() -> None:
        await is_dead.wait()
        raise ConnectionAbortedError

    peer.before["DATA"] = say_nothing
    process, _ = await office.start()
    await office.start()
    await office.post("b.test", MAILS, MESSAGE)
    await until(lambda: peer.commands.count("DATA") == MAILS, "all are under way")

    assert await office.stop(process, signal.SIGKILL) == -signal.SIGKILL
    del peer.before["DATA"]
    await office.all_settled(within=20)  # no lease has to run out
    is_dead.set()
    await until(peer.quiet.is_set, "the connections of the dead are closed")

    assert len(peer.accepted) == MAILS
    tries = Counter(command for command in peer.commands if command.startswith("RCPT"))
    assert set(tries.values()) == {2}
    assert await office.states() == {"relayed": MAILS}
