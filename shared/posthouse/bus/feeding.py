"""Feeding a consumer: deliveries come in here, and acknowledgements go out.

When a session ends (connection lost, channel closed, consumer cancelled by the broker because the
queue moved or was deleted) a new one is opened with back-off, for ever. A message that is still
being worked on when it is delivered again joins its first delivery; one whose work has ended but
whose acknowledgement came too late is acknowledged at once, and not worked on twice.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aio_pika.exceptions import ChannelNotFoundEntity
from aiormq.abc import DeliveredMessage

from posthouse.bus.connection import Broker
from posthouse.bus.inbox import Delivery, Inbox, PlainInbox
from posthouse.bus.session import Session
from posthouse.bus.topology import REMOTE_ROADS
from posthouse.bus.wire import unbundled
from posthouse.mail.errors import Unavailable
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter
from posthouse.telemetry.outages import Outage
from posthouse.telemetry.probes import Beat

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
WATCH_SECONDS = 10.0  # how often a quiet session is asked whether it still lives
RENEWAL = 30  # looks without any work (5 min): then a consumer is made anew, to be sure
COMPANY_SECONDS = 0.02  # how long a small batch waits for company in busy times
SURPLUS_SECONDS = 5.0  # how often is looked whether something waits for too long
BUSY_SECONDS = 0.03  # after the end of work more is expected
MAX_PREFETCH = 65_535  # AMQP 0-9-1: a short
MAX_REMEMBERED = 10_000  # settled messages that are recognised when they are delivered again

log = get_logger()
_consumed = counter("posthouse_bus_consumed_total", "Envelopes delivered to us.", "road")
_joined = counter(
    "posthouse_bus_redeliveries_joined_total", "Redeliveries of what is worked on.", "road"
)
_late = counter("posthouse_bus_late_acks_total", "Acknowledgements that came too late.", "road")
_sessions = counter("posthouse_bus_consumer_sessions_total", "Consumers opened.", "road")


class Feed:
    """What comes from one road.

    Attributes:
        is_stopping: No more is taken.
    """

    def __init__(self, broker: Broker, road: str, beat: Beat, inbox: Inbox | None = None) -> None:
        self._broker = broker
        self.road = self._road = road
        self.beat = self._beat = beat
        self._inbox: Inbox = PlainInbox() if inbox is None else inbox
        self._running: dict[str, Delivery] = {}
        self._settled: OrderedDict[str, None] = OrderedDict()
        self._delivered = _consumed.labels(road)
        self._wanted = 0
        self._arrivals = 0  # since the broker was last asked whether it knows us
        self._quiet = 0  # how often it was asked in vain
        self._busy_until = 0.0
        self._is_shared = road in REMOTE_ROADS
        self._arrival = asyncio.Event()
        self._growth = asyncio.Event()
        self._stop = asyncio.Event()
        self._done = asyncio.Event()
        self._outage = Outage("not consuming", "consuming", road=road)

    @property
    def is_stopping(self) -> bool:
        """True once `stop` was called."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Take no more."""
        self._stop.set()
        self._arrival.set()

    @asynccontextmanager
    async def open(self, prefetch: int) -> AsyncIterator[None]:
        """Keep a session open while inside."""
        keeper = asyncio.create_task(self._keep(min(prefetch, MAX_PREFETCH)), name=self._road)
        keeper.add_done_callback(lambda _: self.stop())  # a bug in it must not go unnoticed
        try:
            yield
        finally:
            self.stop()
            self._done.set()
            await keeper

    async def take(self, most: int) -> list[Delivery]:
        """Return deliveries with up to ``most`` envelopes as soon as there are any.

        The first is returned even if it has more. None are when stopping.
        """
        while True:
            while not self._inbox.is_open and not self.is_stopping:
                self._arrival.clear()
                await self._arrival.wait()
            if len(self._inbox) < most and (self._running or self._beat.now() < self._busy_until):
                await self._company(most)
            if self.is_stopping:
                return []
            if fresh := await self._fresh(self._inbox.next(most)):
                return fresh

    async def surplus(self) -> list[Delivery]:
        """Return some of what is too much in the inbox as soon as there is any; none if stopping."""
        while not self.is_stopping:
            if fresh := await self._fresh(self._inbox.surplus()):
                return fresh
            self._growth.clear()
            await first_of(self._growth, self._stop, seconds=SURPLUS_SECONDS)
        return []

    async def pause(self, seconds: float) -> None:
        """Wait, but not longer than until `stop`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()

    async def settle(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge ``deliveries``, whose work is done, wherever that still counts."""
        tags: dict[Session, list[int]] = {}
        for delivery in deliveries:
            for one in (delivery, *delivery.twins):
                tags.setdefault(one.session, []).append(one.tag)
            self._remember(delivery.message_id)
        self._forget(deliveries)
        for session, numbers in tags.items():
            if not await session.settle(numbers):
                _late.labels(self._road).inc(len(numbers))

    def abandon(self, deliveries: Sequence[Delivery]) -> None:
        """Leave ``deliveries`` to redelivery."""
        self._forget(deliveries)

    async def _fresh(self, taken: list[Delivery]) -> list[Delivery]:
        """Begin with what was not settled before."""
        old = [one for one in taken if one.message_id in self._settled]
        if old:
            await self.settle(old)
        fresh = [one for one in taken if one not in old] if old else taken
        for delivery in fresh:
            delivery.taken = self._beat.now()
            self._running[delivery.message_id] = delivery
        return fresh

    def _arrived(self, session: Session, message: DeliveredMessage) -> None:
        tag = message.delivery_tag or 0
        properties = message.header.properties
        delivery = Delivery(
            session=session,
            tag=tag,
            lines=unbundled(message.body),
            headers=properties.headers or {},
            message_id=properties.message_id or f"{id(session)}/{tag}",
            is_again=bool(message.redelivered),
        )
        self._delivered.inc(len(delivery.lines))
        self._arrivals += 1
        self._beat.busy()
        if (running := self._running.get(delivery.message_id)) is not None:
            _joined.labels(self._road).inc()
            running.twins.append(delivery)
            return
        self._inbox.add(delivery)
        if len(self._inbox) >= self._wanted:
            self._arrival.set()
        if self._inbox.is_full:
            self._growth.set()

    async def _company(self, most: int) -> None:
        """Let a small batch grow for a moment: more is on its way."""
        self._wanted = most
        self._arrival.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(COMPANY_SECONDS):
                await self._arrival.wait()
        self._wanted = 0

    def _remember(self, message_id: str) -> None:
        self._settled[message_id] = None
        if len(self._settled) > MAX_REMEMBERED:
            self._settled.popitem(last=False)

    def _forget(self, deliveries: Sequence[Delivery]) -> None:
        """End the work on ``deliveries``; the pulse goes on from the oldest that is left."""
        for delivery in deliveries:
            self._running.pop(delivery.message_id, None)
            self._inbox.ended(delivery)
        if self._inbox.is_open and not self._wanted:
            self._arrival.set()  # a next hop that had its share may have more
        self._busy_until = self._beat.now() + BUSY_SECONDS
        self._feel()

    def _feel(self) -> None:
        if self._running:
            self._beat.beat(since=next(iter(self._running.values())).taken)
        elif self._inbox:
            self._beat.beat()
        else:
            self._beat.idle()

    async def _keep(self, prefetch: int) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self.is_stopping:
            try:
                session = await Session.begin(self._broker, self._road, prefetch, self._arrived)
            except Unavailable as error:
                if self._broker.consuming.is_connected:  # else the line has told why
                    self._outage.away(str(error))
                await self._mend(error)
            else:
                pause = FIRST_PAUSE_SECONDS
                is_renewed = self._quiet >= RENEWAL  # nothing has happened: nothing to tell
                self._quiet = 0
                _sessions.labels(self._road).inc()
                if not self._outage.over() and not is_renewed:
                    log.info("consuming", road=self._road)
                try:
                    await self._stay(session)
                finally:
                    await session.close()
                    self._drop(session)
            await self.pause(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _stay(self, session: Session) -> None:
        """Return when ``session`` has ended, or everything is done after `stop`."""
        while not session.ended.is_set() and not self.is_stopping:
            await first_of(session.ended, self._stop, seconds=WATCH_SECONDS)
            if not session.ended.is_set() and not self.is_stopping:
                await self._look(session)
        if not session.ended.is_set():
            await session.leave()
            await first_of(session.ended, self._done)

    async def _look(self, session: Session) -> None:
        """Notice that the broker has forgotten us, which it does without a word."""
        self._quiet = 0 if self._arrivals or self._running else self._quiet + 1
        self._arrivals = 0
        if self._quiet >= RENEWAL:
            session.ended.set()
            return
        # An idle consumer of a road with a single active one gets nothing by right.
        await session.look(starving=bool(self._quiet) and not self._is_shared)

    def _drop(self, session: Session) -> None:
        """Forget what only waited: the broker will deliver it again."""
        self._inbox.drop(session)
        self._feel()

    async def _mend(self, error: Unavailable) -> None:
        """Declare the roads if this one is missing."""
        if isinstance(error.__cause__, ChannelNotFoundEntity):
            self._broker.mend()


async def first_of(*events: asyncio.Event, seconds: float | None = None) -> None:
    """Return when one of ``events`` is set, or after ``seconds``."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
