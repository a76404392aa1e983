"""Nobody's mail waits for another's: a dead site, a slow one, a tenant with thousands.

`make soak` runs them with 100,000 mails for the dead site and 5,000 for the slow one.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from posthouse.bus.topology import remote_road
from posthouse.mail.envelope import Remote
from posthouse.storage.pool import Pool
from support.outside import MESSAGE
from support.outside_world import OutsideWorld
from support.remote_service import Office, come_true, open_office

pytestmark = pytest.mark.integration

DEAD = int(os.environ.get("POSTHOUSE_SOAK_DEAD", "1000"))
SLOW = int(os.environ.get("POSTHOUSE_SOAK_SLOW", "200"))
AT_ONCE = 500  # posted together
TRIES = 3  # the best counts: other tests run beside this one
NAMES = ("live.test", *(f"live{n}.test" for n in range(200)))


@pytest.fixture
async def office(
    pool: Pool, postgres_url: str, broker_url: str, tmp_path: Path, world: OutsideWorld
) -> AsyncIterator[Office]:
    settings = {**world.settings, "POSTHOUSE_RETRY_DELAYS": "5m", "POSTHOUSE_LOG_LEVEL": "WARNING"}
    async with open_office(pool, postgres_url, broker_url, tmp_path, settings) as opened:
        yield opened


def _beside(domain: str) -> str:
    """Return a domain whose mail travels on the same road as that of ``domain``."""
    return next(name for name in NAMES if remote_road(name) == remote_road(domain))


async def _post(office: Office, domain: str, count: int, sender: str) -> list[Remote]:
    posted: list[Remote] = []
    while len(posted) < count:
        some = min(AT_ONCE, count - len(posted))
        posted += await office.post(domain, some, MESSAGE, sender=sender)
    return posted


async def _seconds_until_relayed(office: Office, domain: str, sender: str) -> float:
    """Post one mail; return how long it took until the ledger knew that it was taken."""
    began = time.monotonic()
    (mail,) = await office.post(domain, 1, MESSAGE, sender=sender)

    async def is_relayed() -> bool:
        state = await office.pool.fetchval(
            "select state from recipients where envelope = $1", mail.id
        )
        return state == "relayed"

    await come_true(is_relayed, within=60)
    return time.monotonic() - began


async def _best(office: Office, domain: str) -> float:
    """Return the seconds that one mail takes, at best."""
    tries = [await _seconds_until_relayed(office, domain, "bert@b.test") for _ in range(TRIES)]
    return min(tries)


async def test_mail_for_a_live_site_leaves_within_a_second_beside_thousands_for_a_dead_one(
    office: Office, world: OutsideWorld
) -> None:
    dead, sink = world.server(), world.server()
    sink.start()
    world.domain("dead.test", dead)
    live = _beside("dead.test")
    world.domain(live, sink)
    await office.start()
    alone = await _best(office, live)
    await _post(office, "dead.test", DEAD, "anna@example.test")

    async def all_wait() -> bool:
        return (await office.states()).get("deferred") == DEAD

    await come_true(all_wait, within=60 + DEAD / 50)
    beside = await _best(office, live)

    assert (await office.states())["deferred"] == DEAD
    assert beside < alone + 1.0


async def test_a_single_mail_of_another_tenant_is_soon_next_at_a_slow_site(
    office: Office, world: OutsideWorld
) -> None:
    sink = world.server()
    sink.start("-w", "3")  # seconds for each DATA, at 20 sessions at most
    world.domain("slow.test", sink)
    await office.start()
    alone = await _seconds_until_relayed(office, "slow.test", "carl@c.test")
    await _post(office, "slow.test", SLOW, "bulk@a.test")

    seconds = await _seconds_until_relayed(office, "slow.test", "bert@b.test")

    assert (await office.states()).get("routed", 0) > SLOW / 3, "the others still wait"
    assert seconds < alone + 5.0 + SLOW / 200, "one turn, and what the road brings before it"
