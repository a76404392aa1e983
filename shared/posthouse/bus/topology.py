"""The roads as data: every exchange and queue of this house, and the names by which we go.

::

    roads (direct) ──▶ mail.inbound  mail.local  mail.remote.<shard>
                              │ rejected or delivered too often
    dead (direct)  ──▶ mail.inbound.dead  mail.local.dead  mail.remote.dead
    wait.<delay> (fanout) ──▶ wait.<delay> ──time is up──▶ roads, by the key it came with
    roads (direct) ──▶ mailbox.index
    mailbox.events (fanout) ──▶ one exclusive queue per process

The order of the tables is the order of declaration: targets of dead-lettering first, because
at-least-once dead-lettering keeps a message whose target is missing. One queue per delay, because
a queue with a time per message blocks behind its head. Nothing here needs more than
RabbitMQ 3.10; delivery limits are explicit, because 4.x has a default that drops messages.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, TypeAlias

from posthouse.mail.envelope import Envelope, Inbound, Local, Remote

Argument: TypeAlias = str | int | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """An exchange; always durable."""

    name: str
    kind: Literal["direct", "fanout"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A durable quorum queue.

    Attributes:
        name: Its name.
        exchange: What it is bound to.
        key: The routing key of the binding; empty at a fanout.
        arguments: Of the declaration, beside the queue type.
    """

    name: str
    exchange: str
    key: str = ""
    arguments: Mapping[str, Argument] = field(default_factory=dict)

    @property
    def declaration(self) -> dict[str, Argument]:
        """The arguments as they are declared."""
        return {"x-queue-type": "quorum", **self.arguments}


INBOUND = "mail.inbound"
LOCAL = "mail.local"
REMOTE = "mail.remote"
REMOTE_SHARDS = 8
REMOTE_ROADS = tuple(f"{REMOTE}.{shard}" for shard in range(REMOTE_SHARDS))
INDEX = "mailbox.index"  # no envelopes: what the indexer shall do, see `indexing`
ROADS = (INBOUND, LOCAL, *REMOTE_ROADS)
BUNDLED_ROADS = (INBOUND, LOCAL)  # a message carries several envelopes; outside each takes its time
KIND_ON: Mapping[str, type[Envelope]] = {
    INBOUND: Inbound,
    LOCAL: Local,
    **dict.fromkeys(REMOTE_ROADS, Remote),
}

ROADS_EXCHANGE = "roads"
DEAD_EXCHANGE = "dead"
EVENTS_EXCHANGE = "mailbox.events"

DELIVERY_LIMIT = 20  # the last resort against an envelope that kills its consumer
PARKED_LIMIT = 1_000_000  # dead letters are never dropped for being looked at too often

_WAITS: Mapping[str, timedelta] = {
    "5s": timedelta(seconds=5),
    "30s": timedelta(seconds=30),
    "1m": timedelta(minutes=1),
    "5m": timedelta(minutes=5),
    "15m": timedelta(minutes=15),
    "30m": timedelta(minutes=30),
    "1h": timedelta(hours=1),
    "2h": timedelta(hours=2),
    "4h": timedelta(hours=4),
}
DELAYS = tuple(_WAITS.values())

# What never loses: a message leaves its queue only after the target has confirmed it.
_SAFELY: Mapping[str, Argument] = {
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}


def dead_queue(road: str) -> str:
    """Return the parking place of ``road``; the remote shards share one."""
    return f"{REMOTE if road in REMOTE_ROADS else road}.dead"


def wait_exchange(delay: timedelta) -> str:
    """Return the exchange of the longest wait that is not longer than ``delay``.

    A delay below the shortest wait waits the shortest.
    """
    return f"wait.{tuple(_WAITS)[max(0, bisect_right(DELAYS, delay) - 1)]}"


def remote_road(domain: str) -> str:
    """Return the road of a next hop; the same in every process and release."""
    return REMOTE_ROADS[zlib.crc32(domain.lower().encode()) % REMOTE_SHARDS]


def road_of(envelope: Envelope) -> str:
    """Return the road that ``envelope`` travels on."""
    match envelope:
        case Inbound():
            return INBOUND
        case Local():
            return LOCAL
        case Remote():
            return remote_road(envelope.domain)


def _parked(name: str) -> Queue:
    return Queue(
        name=name,
        exchange=DEAD_EXCHANGE,
        key=name,
        arguments={"x-delivery-limit": PARKED_LIMIT},
    )


def _waiting(name: str, delay: timedelta) -> Queue:
    milliseconds = delay // timedelta(milliseconds=1)
    return Queue(
        name=f"wait.{name}",
        exchange=f"wait.{name}",
        arguments={
            "x-message-ttl": milliseconds,
            "x-dead-letter-exchange": ROADS_EXCHANGE,
            **_SAFELY,
        },
    )


def _road(name: str) -> Queue:
    alone: Mapping[str, Argument] = (
        {"x-single-active-consumer": True} if name in REMOTE_ROADS else {}
    )
    return Queue(
        name=name,
        exchange=ROADS_EXCHANGE,
        key=name,
        arguments={
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": DEAD_EXCHANGE,
            "x-dead-letter-routing-key": dead_queue(name),
            **_SAFELY,
            **alone,
        },
    )


DEAD_QUEUES = tuple(dict.fromkeys(dead_queue(road) for road in ROADS))
EXCHANGES = (
    Exchange(name=DEAD_EXCHANGE, kind="direct"),
    Exchange(name=ROADS_EXCHANGE, kind="direct"),
    Exchange(name=EVENTS_EXCHANGE, kind="fanout"),
    *(Exchange(name=f"wait.{name}", kind="fanout") for name in _WAITS),
)
_INDEX_QUEUE = Queue(
    name=INDEX, exchange=ROADS_EXCHANGE, key=INDEX, arguments={"x-delivery-limit": DELIVERY_LIMIT}
)
QUEUES = (
    _INDEX_QUEUE,
    *(_parked(name) for name in DEAD_QUEUES),
    *(_road(name) for name in ROADS),
    *(_waiting(name, delay) for name, delay in _WAITS.items()),
)
