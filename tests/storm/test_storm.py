"""Minutes of kill -9 of anything, at random, under load, and a count at the end. `make storm`.

Each letter goes into a mailbox and, by a forward, to a server outside. Whatever was answered with
250 arrives at both: once in the mailbox; outside once, or twice if delivery-remote was killed in
the one window for that (between a server's 250 and our commit).
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from onemachine.supervisor import Part
from support.load import nothing_lost, subjects, under_load
from support.outside_world import OutsideWorld
from support.stack import House, a_house, eventually

pytestmark = [pytest.mark.storm, pytest.mark.timeout(0)]

SECONDS = float(os.environ.get("STORM_SECONDS", "300"))
SEED = int(os.environ.get("STORM_SEED", str(random.randrange(10**6))))  # noqa: S311 - no secret
LETTERS_BETWEEN_KILLS = 10
SLOTS = 20  # sessions at once with one destination (POSTHOUSE_REMOTE_SESSIONS)
CALM_SECONDS = 300.0
CLIENTS = "delivery-remote"  # whose kills may double


@pytest.fixture
def world() -> Iterator[OutsideWorld]:
    world = OutsideWorld()
    yield world
    world.close()


@pytest.fixture
def house(world: OutsideWorld) -> Iterator[House]:
    """Two of each service."""
    with a_house(world.settings, copies=2) as opened:
        yield opened


def _parts(house: House) -> list[Part]:
    servers = [one for one in house.stack.servers.all if one.name in {"rabbitmq", "postgresql"}]
    return [*house.stack.services, *servers]


def test_whatever_is_killed_every_letter_arrives_and_is_counted(
    house: House, world: OutsideWorld
) -> None:
    sink, reader, forward = world.server(), house.account(), house.account()
    sink.start()
    world.domain("storm.test", sink)
    abroad = {"targets": ["you@storm.test"], "keep_copy": False}
    house.ask("PUT", f"/forwards/{forward[0]}", abroad)
    dice, kills = random.Random(SEED), Counter[str]()  # noqa: S311 - no secret

    def outside() -> Counter[str]:
        return Counter(one["Subject"] for one in sink.letters())

    def inside() -> Counter[str]:
        return subjects(house.messages(reader))

    until = time.monotonic() + SECONDS
    with under_load(house, [reader[0], forward[0]]) as load:
        while time.monotonic() < until:
            part = dice.choice(_parts(house))
            kills[part.name] += 1
            with house.killed(part):
                load.await_accepted(LETTERS_BETWEEN_KILLS, CALM_SECONDS)
    house.await_ready()
    for arrived in (inside, outside):
        eventually(nothing_lost(load, arrived), lambda lost: not lost, CALM_SECONDS)

    doubled = {subject: n for subject, n in outside().items() if n > 1}
    may_double = sum(n for name, n in kills.items() if name.startswith(CLIENTS))
    told = f"seed {SEED}: {len(load.accepted)} accepted, none lost, {len(doubled)} came twice"
    sys.stdout.write(f"\n{told}\nkilled: {dict(kills)}\n")
    assert [subject for subject, n in inside().items() if n > 1] == []
    assert sum(doubled.values()) - len(doubled) <= SLOTS * may_double
    assert max(doubled.values(), default=1) <= 1 + may_double
    assert house.ask("GET", "/dead-letters")["items"] == []
