"""The whole service as a process: real broker, real ledger, smtp-sink as the world."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from posthouse.mail.tls_words import TlsPolicy
from posthouse.storage.directory.tls_policies import set_tls_policy
from posthouse.storage.pool import Pool
from support.outside import MESSAGE
from support.outside_world import OutsideWorld, Sink
from support.remote_service import Office, open_office
from support.roads import until

pytestmark = pytest.mark.integration


@pytest.fixture
async def office(
    pool: Pool, postgres_url: str, broker_url: str, tmp_path: Path, world: OutsideWorld
) -> AsyncIterator[Office]:
    async with open_office(pool, postgres_url, broker_url, tmp_path, world.settings) as opened:
        yield opened


def _got(sink: Sink) -> Counter[str]:
    """How often each recipient's mail arrived; a lone dot after refused recipients is no mail."""
    arrived = [letter for letter in sink.letters() if letter["Subject"]]
    return Counter(str(letter["X-Rcpt-Args"]) for letter in arrived)


async def test_mail_of_many_domains_arrives_once_and_the_probes_tell(
    office: Office, world: OutsideWorld
) -> None:
    sink = world.server()
    sink.start()
    for n in range(5):
        world.domain(f"d{n}.test", sink)
    _, port = await office.start()

    for n in range(5):
        await office.post(f"d{n}.test", 20, MESSAGE)
    await office.all_settled()

    got = _got(sink)
    assert len(got) == 100
    assert set(got.values()) == {1}
    assert await office.states() == {"relayed": 100}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        metrics = (await client.get("/metrics")).text
        assert 'posthouse_remote_recipients_total{outcome="relayed"} 100.0' in metrics
        assert (await client.get("/healthz")).status_code == 200


async def test_a_server_that_refuses_softly_gets_the_mail_later(
    office: Office, world: OutsideWorld
) -> None:
    sink = world.server()
    sink.start("-r", "rcpt")
    world.domain("b.test", sink)
    await office.start()
    await office.post("b.test", 3, MESSAGE)
    await office.await_state("deferred", 3)

    sink.stop()
    sink.start()
    await office.all_settled()

    assert set(_got(sink).values()) == {1}
    assert await office.states() == {"relayed": 3}


async def test_a_server_that_refuses_for_ever_is_reported(
    office: Office, world: OutsideWorld
) -> None:
    sink = world.server()
    sink.start("-f", "rcpt")
    world.domain("b.test", sink)
    await office.start()
    envelopes = await office.post("b.test", 2, MESSAGE)
    await office.await_state("bounced", 2)

    subjects = await office.pool.fetch("select subject_id from envelopes where origin = 'bounce'")

    assert {row["subject_id"] for row in subjects} == {each.id for each in envelopes}


async def test_a_server_that_cuts_the_connection_is_passed_over(
    office: Office, world: OutsideWorld
) -> None:
    rude, dead, good = world.server(), world.server(), world.server()
    rude.start("-q", "mail")
    good.start()
    world.domain("b.test", dead, rude, good)
    await office.start()

    await office.post("b.test", 10, MESSAGE)
    await office.all_settled()

    assert len(_got(good)) == 10


async def test_killed_under_load_nothing_is_lost_and_only_what_was_in_hand_comes_twice(
    office: Office, world: OutsideWorld
) -> None:
    sink = world.server()
    sink.start()
    world.domain("b.test", sink)
    process, _ = await office.start()
    posting = asyncio.create_task(office.post("b.test", 400, MESSAGE))
    await until(lambda: len(sink.letters()) >= 40, "some arrived")

    assert await office.stop(process, signal.SIGKILL) == -signal.SIGKILL
    await posting
    await office.start()
    await office.all_settled()

    got = _got(sink)
    assert len(got) == 400
    assert max(got.values()) <= 2
    assert sum(got.values()) - 400 <= 20, "no more than one for each slot"
    assert await office.states() == {"relayed": 400}


async def test_another_process_takes_over(office: Office, world: OutsideWorld) -> None:
    sink = world.server()
    sink.start()
    world.domain("b.test", sink)
    first, _ = await office.start()
    second, _ = await office.start()
    await office.post("b.test", 30, MESSAGE)

    assert await office.stop(first) == 0
    await office.post("b.test", 30, MESSAGE)
    await office.all_settled()

    assert len(_got(sink)) == 60
    assert set(_got(sink).values()) == {1}
    assert await office.stop(second) == 0


async def test_told_to_stop_it_finishes_what_is_in_hand(
    office: Office, world: OutsideWorld
) -> None:
    sink = world.server()
    sink.start("-w", "1")  # a second before each 354
    world.domain("b.test", sink)
    process, _ = await office.start()
    await office.post("b.test", 10, MESSAGE)
    await until(lambda: bool(sink.letters()), "one arrived")

    assert await office.stop(process) == 0

    relayed = (await office.states()).get("relayed", 0)
    assert relayed == len(sink.letters())


async def test_told_to_stop_while_it_waits_for_the_house_it_stops(
    office: Office, world: OutsideWorld
) -> None:
    world.domain("b.test")
    nowhere = {"POSTHOUSE_DATABASE_URL": "postgresql://postgres@127.0.0.1:1/nowhere"}
    lonely = replace(office, settings={**office.settings, **nowhere})
    process, port = await lonely.start(ready=False)

    async with httpx.AsyncClient() as client:
        reply = await client.get(f"http://127.0.0.1:{port}/readyz")

    assert reply.status_code == 503
    assert await office.stop(process) == 0


async def test_what_is_demanded_of_tls_counts_within_seconds_and_sessions_are_counted(
    office: Office, world: OutsideWorld
) -> None:
    sink = world.server()
    sink.start()
    world.domain("b.test", sink)
    world.domain("c.test", sink)
    await set_tls_policy(office.pool, TlsPolicy(domain="c.test", level="encrypt"))
    process, _ = await office.start()
    await office.post("b.test", 1, MESSAGE)
    await office.post("c.test", 1, MESSAGE)
    await office.await_state("relayed", 1)
    await office.await_state("deferred", 1)

    assert await office.stop(process) == 0

    rows = await office.pool.fetch("select domain, failure, sessions from tls_results")
    assert {(row["domain"], row["failure"]) for row in rows} == {
        ("b.test", "starttls-not-supported"),
        ("c.test", "starttls-not-supported"),
    }
