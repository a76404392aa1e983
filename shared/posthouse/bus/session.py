"""Sessions: the life of one consuming channel, and the acknowledgements that count in it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable

import aiormq
from aio_pika.abc import AbstractChannel
from aiormq.abc import DeliveredMessage

from posthouse.bus.connection import Broker, bare, losses_told
from posthouse.bus.tags import Tags
from posthouse.mail.errors import Unavailable
from posthouse.telemetry.logs import get_logger

RPC_SECONDS = 10.0  # for one question to the broker

log = get_logger()

OnMessage = Callable[["Session", DeliveredMessage], None]


class Session:
    """The life of one consuming channel.

    Attributes:
        ended: Set when the channel is gone, or the broker has cancelled the consumer.
    """

    def __init__(self, channel: AbstractChannel, below: aiormq.Channel, queue: str) -> None:
        self._channel = channel
        self._bare = below
        self._queue = queue
        self._tags = Tags()
        self._consumer = ""
        self.ended = asyncio.Event()
        channel.close_callbacks.add(self._end, weak=False)
        below.on_consumer_cancel_callbacks.add(self._end)

    @classmethod
    async def begin(
        cls, broker: Broker, queue: str, prefetch: int, on_message: OnMessage
    ) -> Session:
        """Return a session in which the broker delivers from ``queue``.

        Raises:
            Unavailable: If the broker is away or the queue is missing.
        """
        channel = await broker.consuming.channel(confirms=False)
        with losses_told(f"not consuming {queue}"):
            session = cls(channel, await bare(channel), queue)
            try:
                await session._consume(prefetch, on_message)
            except BaseException:
                await session.close()
                raise
            return session

    @property
    def is_open(self) -> bool:
        """True if acknowledgements still count."""
        return not self.ended.is_set() and not self._bare.is_closed

    async def leave(self) -> None:
        """Let the broker deliver no more; what was delivered can still be acknowledged."""
        with contextlib.suppress(Unavailable), losses_told("not left"):
            await self._bare.basic_cancel(self._consumer, timeout=RPC_SECONDS)

    async def look(self, *, starving: bool) -> None:
        """Ask the broker whether it still knows us; end the session if not.

        Args:
            starving: Nothing has come for a while and nothing is being worked on. If the queue
                is not empty then, we are forgotten, although others may be served.
        """
        try:
            with losses_told("no answer"):
                answer = await self._bare.queue_declare(
                    self._queue, passive=True, timeout=RPC_SECONDS
                )
        except Unavailable:
            self.ended.set()
            return
        if not answer.consumer_count or (starving and answer.message_count):
            log.warning("consumer forgotten", queue=self._queue, left=answer.message_count)
            self.ended.set()

    async def settle(self, tags: Iterable[int]) -> bool:
        """Acknowledge ``tags``; False if it is too late."""
        if not self.is_open:
            return False
        try:
            with losses_told("not acknowledged"):
                for frame in self._tags.settle(tags):
                    await self._bare.basic_ack(frame.tag, multiple=frame.multiple, wait=False)
        except Unavailable:
            return False
        return True

    async def close(self) -> None:
        """Close the channel: what is not acknowledged goes back to the road."""
        self.ended.set()
        with contextlib.suppress(Unavailable), losses_told("not closed"):
            async with asyncio.timeout(RPC_SECONDS):
                await self._channel.close()

    async def _consume(self, prefetch: int, on_message: OnMessage) -> None:
        async def arrived(message: DeliveredMessage) -> None:
            on_message(self, message)

        await self._channel.set_qos(prefetch_count=prefetch, timeout=RPC_SECONDS)
        answer = await self._bare.basic_consume(self._queue, arrived, timeout=RPC_SECONDS)
        self._consumer = answer.consumer_tag or ""

    def _end(self, *_: object) -> None:
        self.ended.set()
