"""A burst for one site, thousands at once, keeps no other domain of its shard waiting.

`make soak` runs them with 5,000 mails in each burst.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from posthouse.bus.topology import remote_road
from posthouse.mail.envelope import Remote
from posthouse.storage.pool import Pool
from support.forks import Forked
from support.outside import MESSAGE
from support.outside_world import OutsideWorld
from support.remote_service import Office, come_true, open_office

pytestmark = pytest.mark.integration

BURST = int(os.environ.get("POSTHOUSE_SOAK_BURST", "2000"))
SECONDS = (
    3.0  # of work, most of it for reading what lies before; a busy machine takes twice as much
)
MANY = "many.test"
LIVE = next(
    name for name in (f"live{n}.test" for n in range(200)) if remote_road(name) == remote_road(MANY)
)


@pytest.fixture
async def office(
    pool: Pool, postgres_url: str, broker_url: str, tmp_path: Path, world: OutsideWorld
) -> AsyncIterator[Office]:
    settings = {**world.settings, "POSTHOUSE_RETRY_DELAYS": "5m", "POSTHOUSE_LOG_LEVEL": "WARNING"}
    async with open_office(pool, postgres_url, broker_url, tmp_path, settings) as opened:
        yield opened


async def _is_relayed(office: Office, mail: Remote) -> bool:
    found = await office.pool.fetchval("select state from recipients where envelope = $1", mail.id)
    return bool(found == "relayed")


def _cpu_seconds(process: Forked) -> float:
    """Return what ``process`` has worked: that is the same however much others work beside it."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _work_until_relayed(office: Office, process: Forked, burst: Sequence[Remote]) -> float:
    """Put ``burst`` and a mail behind it on the road; return the work done until the latter has left.

    Nobody reads until all of it is there.
    """
    (mail,) = await office.prepare(LIVE, 1, MESSAGE, sender="bert@b.test")
    process.send_signal(signal.SIGSTOP)
    await office.publish([*burst, mail])
    before, began = _cpu_seconds(process), time.monotonic()
    process.send_signal(signal.SIGCONT)
    await come_true(lambda: _is_relayed(office, mail), within=60)
    print(f"behind {len(burst)}: {time.monotonic() - began:.2f} s")  # noqa: T201 - for make soak
    return _cpu_seconds(process) - before


@pytest.mark.parametrize(
    "manner",
    [
        pytest.param(None, id="refuses connections"),
        pytest.param(("-w", "3"), id="takes its time"),
        pytest.param(("-r", "rcpt"), id="defers recipients"),
        pytest.param((), id="takes all"),
    ],
)
async def test_a_single_mail_leaves_at_once_behind_thousands_for_a_site_that(
    office: Office, world: OutsideWorld, manner: tuple[str, ...] | None
) -> None:
    server, sink = world.server(), world.server()
    sink.start()
    if manner is not None:
        server.start(*manner)
    world.domain(MANY, server)
    world.domain(LIVE, sink)
    burst = await office.prepare(MANY, BURST, MESSAGE, sender="bulk@a.test")
    process, _ = await office.start()
    await _work_until_relayed(office, process, ())

    work = await _work_until_relayed(office, process, burst)

    left = (await office.states()).get("routed", 0)
    print(f"{work:.2f} s of work, {left} of {BURST} left")  # noqa: T201 - for make soak
    assert left > BURST / 2, "it overtook most of them"
    assert work < SECONDS
