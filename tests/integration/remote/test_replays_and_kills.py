"""Dead letters sent on by a real postmaster to a real delivery-remote, through kill -9 in the middle."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from posthouse.blobs import open_blobs
from posthouse.bus.connection import connect
from posthouse.bus.consumer import consume
from posthouse.bus.moves import Bury, Move
from posthouse.bus.topology import road_of
from posthouse.mail.envelope import Remote
from posthouse.storage.pool import Pool
from posthouse.telemetry.probes import Probes
from support.outside import MESSAGE
from support.outside_world import OutsideWorld, Sink
from support.postmaster import TOKEN
from support.processes import Service, free_port
from support.remote_service import Office, come_true, open_office

pytestmark = pytest.mark.integration

MAILS = 40
ENOUGH = 10  # letters, when it is killed


@pytest.fixture
def sink(world: OutsideWorld) -> Sink:
    sink = world.server()
    sink.start()
    world.domain("b.test", sink)
    return sink


@pytest.fixture
async def office(
    pool: Pool, postgres_url: str, broker_url: str, tmp_path: Path, world: OutsideWorld
) -> AsyncIterator[Office]:
    settings = {**world.settings, "POSTHOUSE_RETRY_DELAYS": "4h"}
    async with open_office(pool, postgres_url, broker_url, tmp_path, settings) as opened:
        yield opened


@pytest.fixture
async def postmaster(office: Office, tmp_path: Path) -> AsyncIterator[Service]:
    settings = {
        **office.settings,
        "POSTHOUSE_API_TOKEN": TOKEN,
        "POSTHOUSE_POSTMASTER_PORT": str(free_port()),
        "POSTHOUSE_SWEEP_SECONDS": "0.1",
        "POSTHOUSE_SWEEP_AFTER_SECONDS": "0.5",
    }
    service = Service("postmaster", settings, tmp_path / "postmaster.log")
    await service.start()
    yield service
    await service.kill()


@pytest.fixture
async def dead(office: Office, postmaster: Service) -> Sequence[Remote]:
    """Mail that a consumer with a fault has buried, filed by the postmaster."""
    assert postmaster.settings["POSTHOUSE_BROKER_URL"] == office.broker_url
    envelopes = await office.post("b.test", MAILS, MESSAGE)

    async def give_up(found: Sequence[Remote]) -> list[Move]:
        return [Bury("a fault that was repaired since") for _ in found]

    async with connect(office.broker_url, Probes(), "test") as broker:
        beat = Probes().progress("test")
        task = asyncio.ensure_future(consume(broker, road_of(envelopes[0]), give_up, beat=beat))
        await office.await_state("dead", MAILS)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    return envelopes


async def ask(
    postmaster: Service, verb: str, *, killed_at: int = 0, **more: object
) -> dict[str, Any]:
    """Send all letters on; kill the postmaster once so many went."""
    port = postmaster.settings["POSTHOUSE_POSTMASTER_PORT"]
    last: dict[str, Any] = {}
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(timeout=60, headers=headers) as client:
        url = f"http://127.0.0.1:{port}/api/v1/dead-letters/{verb}"
        try:
            body = {"all": True, "rate": 20, "watch": 0, **more}
            async with client.stream("POST", url, json=body) as answer:
                async for line in answer.aiter_lines():
                    last = json.loads(line)
                    if killed_at and last["changed"] >= killed_at:
                        await postmaster.kill()
        except httpx.TransportError:
            assert killed_at
    return last


async def audited(office: Office) -> list[tuple[int, bool]]:
    """Return of each order how many letters it changed, and whether it ended."""
    rows = await office.pool.fetch(
        "select changed, ended_at is not null as ended from audit order by id"
    )
    return [(row["changed"], row["ended"]) for row in rows]


async def letters(office: Office) -> dict[str, int]:
    rows = await office.pool.fetch("select state, count(*) as n from dead_letters group by 1")
    return {row["state"]: row["n"] for row in rows}


def got(sink: Sink) -> Counter[str]:
    return Counter(str(letter["X-Rcpt-Args"]) for letter in sink.letters())


async def test_replayed_through_kills_of_the_postmaster_each_arrives_once(
    office: Office, postmaster: Service, dead: Sequence[Remote], sink: Sink
) -> None:
    await office.start()
    await ask(postmaster, "replay", killed_at=ENOUGH)
    gone = (await letters(office))["replayed"]
    assert ENOUGH <= gone < MAILS
    assert await audited(office) == [(gone, False)]

    await postmaster.start()
    assert (await ask(postmaster, "replay"))["changed"] == MAILS - gone

    await office.all_settled()
    assert await office.states() == {"relayed": MAILS}
    assert await audited(office) == [(gone, False), (MAILS - gone, True)]
    assert await letters(office) == {"replayed": MAILS}
    assert len(got(sink)) == len(dead)
    assert set(got(sink).values()) == {1}


async def test_replayed_through_kills_of_both_only_what_was_in_hand_comes_twice(
    office: Office, postmaster: Service, dead: Sequence[Remote], sink: Sink
) -> None:
    await office.start()
    await ask(postmaster, "replay", killed_at=ENOUGH)
    await office.stop(office.running[0], signal.SIGKILL)
    await postmaster.start()
    await office.start()
    assert (await ask(postmaster, "replay"))["done"]

    await office.all_settled()
    assert await office.states() == {"relayed": MAILS}
    assert len(got(sink)) == len(dead)
    assert max(got(sink).values()) <= 2
    assert sum(got(sink).values()) - MAILS <= 20, "no more than one for each session"


async def test_rerouted_through_a_kill_all_go_the_other_way_once(
    office: Office, postmaster: Service, dead: Sequence[Remote], sink: Sink, world: OutsideWorld
) -> None:
    other = world.server()
    other.start()
    await office.start()
    hop = f"{other.address}:{world.port}"
    await ask(postmaster, "reroute", killed_at=ENOUGH, to=hop)
    await postmaster.start()
    assert (await ask(postmaster, "reroute", to=hop))["done"]

    await office.all_settled()
    assert await office.states() == {"relayed": MAILS}
    assert len(got(other)) == len(dead)
    assert set(got(other).values()) == {1}
    assert sink.letters() == []


async def test_returned_through_a_kill_each_sender_is_told_once(
    office: Office, postmaster: Service, dead: Sequence[Remote], sink: Sink
) -> None:
    await ask(postmaster, "bounce", killed_at=ENOUGH, text="we gave it up")
    await postmaster.start()
    assert (await ask(postmaster, "bounce", text="we gave it up"))["done"]
    await office.start()

    told = await office.pool.fetch("select subject_id from envelopes where origin = 'bounce'")
    assert Counter(row["subject_id"] for row in told) == Counter(each.id for each in dead)
    assert (await letters(office)) == {"bounced": MAILS}

    async def are_published() -> bool:
        return await office.pool.fetchval("select count(*) from unpublished") == 0

    await come_true(are_published, within=30)
    assert sink.letters() == []


async def test_a_replay_stops_at_a_fault_that_is_still_there(
    office: Office, postmaster: Service, sink: Sink
) -> None:
    envelopes = await office.post("b.test", MAILS, MESSAGE)
    async with open_blobs(f"disk:{office.folder / 'objects'}") as blobs:
        await blobs.delete([envelope.blob for envelope in envelopes])
    await office.start()
    await office.await_state("dead", MAILS)

    canary = await ask(postmaster, "replay", limit=1, watch=30)
    rest = await ask(postmaster, "replay", rate=10)

    assert "came back" in canary["stopped"]
    assert "came back" in rest["stopped"]
    assert 0 < rest["seen"] < MAILS
    assert await letters(office) == {"replayed": 1 + rest["changed"], "waiting": MAILS}
    assert sink.letters() == []
