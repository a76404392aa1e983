"""How deep the queues are, asked over AMQP itself: no management plugin is needed.

A passive declaration tells what is ready and how many consume; what consumers hold unacknowledged
AMQP does not tell, but the ledger's own counts include it.
"""

from __future__ import annotations

from dataclasses import dataclass

from aio_pika.exceptions import ChannelNotFoundEntity

from posthouse.bus.connection import Broker, losses_told
from posthouse.bus.topology import QUEUES

ANSWER_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """One queue.

    Attributes:
        queue: Its name.
        ready: Messages that wait for a consumer; None if the queue does not exist.
        consumers: How many consume; None if the queue does not exist.
    """

    queue: str
    ready: int | None
    consumers: int | None


async def depths(broker: Broker) -> list[Depth]:
    """Return every queue of the topology with its depth.

    Raises:
        Unavailable: If the broker is not there within seconds.
    """
    with losses_told("depths not asked"):
        return [await _depth(broker, queue.name) for queue in QUEUES]


async def _depth(broker: Broker, name: str) -> Depth:
    # A channel of its own: asking for a missing queue closes the channel it was asked on.
    channel = await broker.publishing.channel(confirms=False)
    try:
        queue = await channel.declare_queue(name, passive=True, timeout=ANSWER_SECONDS)
    except ChannelNotFoundEntity:
        return Depth(queue=name, ready=None, consumers=None)
    finally:
        if not channel.is_closed:
            await channel.close()
    told = queue.declaration_result
    return Depth(queue=name, ready=told.message_count, consumers=told.consumer_count)
