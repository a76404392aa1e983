"""Fresh mail while a million recipients wait, and while nothing does: A, B, A, B on one stack."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from bench.measuring import LOOK_EVERY_SECONDS, WITHIN_SECONDS, Course, Run, measure
from bench.ours import Posthouse, posthouse
from bench.relaying import Relay, recipients, sink
from bench.system import System, Unfit
from bench.waiting import fill
from posthouse.bus.connection import Broker, connect
from posthouse.bus.publisher import Parcel, Publisher
from posthouse.bus.topology import remote_road, wait_exchange
from posthouse.bus.wire import encode
from posthouse.mail.envelope import InboundRecipient, Remote
from posthouse.storage import ledger
from posthouse.storage.ledger import Choice, Chosen, Walk
from posthouse.storage.pool import Pool, transaction
from posthouse.telemetry.probes import Probes

DOMAIN = "bench.test"
DELAY = timedelta(hours=4)  # none of them comes round before the end
PORTION = 5000  # envelopes read and published together
AT_ONCE = 8  # parts of a portion: the broker syncs many together
PURGE_SECONDS = 600.0
BROKER_PATIENCE = timedelta(
    minutes=5
)  # it takes a million at once, which nobody gives it otherwise
OCTETS = 4096
USERS = 100
WARM_UP = Course(name="warm-up", count=300, reuse=True)

# Fresh mail has left nothing open when this is done: both sides begin with the same empty tables.
_EMPTY = "truncate envelopes, recipients, waiting, events"
_OPEN = """
    select (select count(*) from recipients where settled_at is null and state <> 'deferred')
         + (select count(*) from unpublished)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """The running stack, and what lets mail wait in it.

    Attributes:
        system: Posthouse.
        relay: The same with a server outside behind it.
        broker: Its broker.
        users: Who has a mailbox.
        say: Tells how far it is.
    """

    system: Posthouse
    relay: Relay
    broker: Broker
    users: list[str]
    say: Callable[[str], None]


@asynccontextmanager
async def _ground(say: Callable[[str], None]) -> AsyncIterator[Ground]:
    names = [f"u{number:03}@{DOMAIN}" for number in range(USERS)]
    async with (
        sink() as behind,
        posthouse(DOMAIN, names, say, next_hop=behind.port) as system,
        connect(system.broker, Probes(), "bench") as broker,
    ):
        relay = Relay(system=system, sink=behind)
        yield Ground(system=system, relay=relay, broker=broker, users=names, say=say)


async def fresh(
    say: Callable[[str], None],
    waiting: int,
    course: Course,
    rounds: int,
    tell: Callable[[int, Run], None],
) -> list[Run]:
    """Send ``course`` to mailboxes and to a server outside, with nothing and with ``waiting``."""
    runs = []
    async with _ground(say) as ground:
        for turn in range(rounds):
            for count in (0, waiting):
                await _let_wait(ground, count)
                for run in await _measured(ground, course, f"{count} wait"):
                    runs.append(run)
                    tell(turn, run)
    return runs


async def _measured(ground: Ground, course: Course, name: str) -> list[Run]:
    outside = recipients(len(ground.users))
    ways: list[tuple[str, System, list[str]]] = [
        ("to mailboxes", ground.system, ground.users),
        ("relaying", ground.relay, list(outside)),
    ]
    runs = []
    for what, system, to in ways:
        await measure(system, WARM_UP, to)
        run = await measure(system, replace(course, name=what), to)
        runs.append(replace(run, system=name))
    return runs


async def _let_wait(ground: Ground, count: int) -> None:
    """Have ``count`` recipients wait in the ledger and with the broker, and nothing else."""
    began, pool = time.perf_counter(), ground.system.pool
    await _all_settled(pool)
    await pool.execute(_EMPTY)
    await _purge(ground.broker)
    if count:
        await fill(pool, count)
        await _publish(pool, Publisher(ground.broker, BROKER_PATIENCE))
    for table in ("envelopes", "recipients", "waiting", "unpublished"):
        await pool.execute(f"vacuum (analyze) {table}")  # here, not while something is measured
    await pool.execute("checkpoint")
    ground.say(f"{count} recipients wait after {time.perf_counter() - began:.0f} s")


async def _all_settled(pool: Pool) -> None:
    """Return when all fresh mail has come to its end.

    Raises:
        Unfit: It does not within seconds.
    """
    until = time.monotonic() + WITHIN_SECONDS
    while await pool.fetchval(_OPEN):
        if time.monotonic() > until:
            raise Unfit("fresh mail does not come to its end")
        await asyncio.sleep(LOOK_EVERY_SECONDS)


async def _purge(broker: Broker) -> None:
    channel = await broker.publishing.channel(confirms=False)
    queue = await channel.get_queue(wait_exchange(DELAY), ensure=False)
    await queue.purge(timeout=PURGE_SECONDS)
    await channel.close()


async def _publish(pool: Pool, publisher: Publisher) -> None:
    """Put a copy of each into a wait queue, as delivery-remote would have when it deferred it."""
    walk: Walk | None = Walk(began=datetime.now(UTC))
    while walk is not None:
        async with transaction(pool) as tx:
            some = await ledger.choose(tx, Choice(), walk, PORTION)
        parcels = [_parcel(each) for each in some]
        await asyncio.gather(*(publisher.dispatch(parcels[at::AT_ONCE]) for at in range(AT_ONCE)))
        walk = replace(walk, after=some[-1].place) if len(some) == PORTION else None


def _parcel(chosen: Chosen) -> Parcel:
    envelope = Remote(
        id=chosen.id,
        sender=chosen.sender,
        size=OCTETS,
        domain=chosen.domain,
        recipients=(InboundRecipient(n=chosen.n, address=f"bert@{chosen.domain}"),),
        attempts=1,
    )
    return Parcel.waiting(DELAY, remote_road(chosen.domain), encode(envelope))
