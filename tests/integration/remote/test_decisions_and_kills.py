"""kill -9 amid decisions of operators: the ledger and the audit stay true, nothing is done twice."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from posthouse.storage.pool import Pool
from support.outside import MESSAGE
from support.outside_world import OutsideWorld, Sink
from support.postmaster import TOKEN
from support.processes import Service, free_port
from support.remote_service import Office, come_true, open_office
from support.waiting import is_true

pytestmark = pytest.mark.integration

MAILS = 80
ENOUGH = 20  # changed, when it is killed


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
        "PYTHONPATH": os.pathsep.join(sys.path),
        "POSTHOUSE_API_TOKEN": TOKEN,
        "POSTHOUSE_POSTMASTER_PORT": str(free_port()),
        "POSTHOUSE_SWEEP_SECONDS": "0.1",
        "POSTHOUSE_SWEEP_AFTER_SECONDS": "0.5",
    }
    service = Service("support.small_batches", settings, tmp_path / "postmaster.log")
    await service.start()
    yield service
    await service.kill()


@pytest.fixture
async def waiting(office: Office, world: OutsideWorld) -> Sink:
    """Mail waits for a server that is not there (yet)."""
    sink = world.server()
    world.domain("b.test", sink)
    await office.start()
    posted = await office.post("b.test", MAILS, MESSAGE)
    await office.await_state("deferred", MAILS)
    await office.await_unclaimed(posted)
    return sink


async def ask(postmaster: Service, verb: str, *, killed_at: int = 0, **more: str) -> dict[str, Any]:
    """Carry out ``verb`` of everything; kill the postmaster once so many are changed."""
    url = f"http://127.0.0.1:{postmaster.settings['POSTHOUSE_POSTMASTER_PORT']}/api/v1/queue/{verb}"
    last: dict[str, Any] = {}
    body = {"all": True, **more}
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(timeout=60, headers=headers) as client:
        try:
            async with client.stream("POST", url, json=body) as answer:
                async for line in answer.aiter_lines():
                    last = json.loads(line)
                    if killed_at and last["changed"] >= killed_at:
                        await postmaster.kill()
        except httpx.TransportError:
            assert killed_at
    return last


async def audited(pool: Pool) -> list[tuple[int, bool]]:
    """Return of each operation how many it has changed, and whether it ended."""
    rows = await pool.fetch("select changed, ended_at is not null as ended from audit order by id")
    return [(row["changed"], row["ended"]) for row in rows]


def got(sink: Sink) -> Counter[str]:
    return Counter(str(letter["X-Rcpt-Args"]) for letter in sink.letters())


async def test_held_and_released_through_kills_of_the_postmaster_each_arrives_once(
    office: Office, postmaster: Service, waiting: Sink
) -> None:
    await ask(postmaster, "hold", killed_at=ENOUGH)
    held = (await office.states())["held"]
    assert ENOUGH <= held < MAILS
    assert await audited(office.pool) == [(held, False)]

    await postmaster.start()
    assert (await ask(postmaster, "hold"))["done"]
    assert await office.states() == {"held": MAILS}
    assert await audited(office.pool) == [(held, False), (MAILS - held, True)]
    assert await is_true(office.pool)

    waiting.start()
    await ask(postmaster, "release", killed_at=ENOUGH)
    await postmaster.start()
    assert (await ask(postmaster, "release"))["done"]

    await office.all_settled()
    assert await office.states() == {"relayed": MAILS}
    changed = await audited(office.pool)
    assert sum(count for count, _ in changed[2:]) == MAILS
    assert set(got(waiting).values()) == {1}
    assert len(got(waiting)) == MAILS
    assert await office.pool.fetchval("select count(*) from waiting") == 0


async def test_retried_through_kills_of_both_only_what_was_in_hand_comes_twice(
    office: Office, postmaster: Service, waiting: Sink
) -> None:
    waiting.start()
    await ask(postmaster, "retry", killed_at=ENOUGH)
    await postmaster.start()
    assert (await ask(postmaster, "retry"))["done"]

    async def some_arrived() -> bool:
        return len(waiting.letters()) >= ENOUGH

    await come_true(some_arrived, within=30)
    assert await office.stop(office.running[0], signal.SIGKILL) == -signal.SIGKILL
    await office.start()

    await office.all_settled()
    assert await office.states() == {"relayed": MAILS}
    counts = got(waiting)
    assert len(counts) == MAILS
    assert max(counts.values()) <= 2
    assert sum(counts.values()) - MAILS <= 20, "no more than one for each session"


async def test_bounced_through_kills_of_both_each_sender_is_told_once(
    office: Office, postmaster: Service, waiting: Sink
) -> None:
    await ask(postmaster, "bounce", killed_at=ENOUGH, text="we gave it up")

    async def some_bounced() -> bool:
        return (await office.states()).get("bounced", 0) > 0

    await postmaster.start()
    await come_true(some_bounced, within=30)
    await office.stop(office.running[0], signal.SIGKILL)
    assert (await ask(postmaster, "bounce", text="we gave it up"))["done"]
    await office.start()

    async def all_bounced() -> bool:
        return (await office.states()).get("bounced", 0) == MAILS

    await come_true(all_bounced, within=60)
    told = await office.pool.fetch("select subject_id from envelopes where origin = 'bounce'")
    assert len(told) == len({row["subject_id"] for row in told}) == MAILS
    waiting.start()
    assert waiting.letters() == []


async def test_deleted_through_a_kill_what_the_audit_says_is_what_is_gone(
    office: Office, postmaster: Service, waiting: Sink
) -> None:
    await ask(postmaster, "delete", killed_at=ENOUGH)
    gone = (await office.states())["discarded"]
    assert await audited(office.pool) == [(gone, False)]

    await postmaster.start()
    assert (await ask(postmaster, "delete"))["changed"] == MAILS - gone

    assert await office.states() == {"discarded": MAILS}
    waiting.start()
    assert waiting.letters() == []
