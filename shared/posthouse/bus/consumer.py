"""Consuming: the only place that acknowledges.

A handler gets envelopes and returns one `Move` for each; the consumer carries the moves out:
first it publishes what goes on (confirmed), then it acknowledges. The rules of failure:

* `Unavailable`: the work is held and tried again with back-off, no attempt is counted, readiness
  falls. It ends when the service stops or the broker has taken the work back. After `LONGEST_HOLD`
  it waits on the roads instead: the broker takes back what nobody acknowledges in half an hour
  (its consumer_timeout) and counts that as a delivery, so a long outage would park sound mail.
* Any other exception from several envelopes: each is tried alone, so that one poisonous envelope
  does not spoil its neighbours.
* A message with several envelopes that comes again is taken apart and put on the road anew, one by
  one: it may have killed whoever had it, and only one of them is to blame.
* From one envelope: a bug of ours. It waits, longer each time (`moves.BUG_WAITS`), then it is
  buried. A `PermanentFailure` (missing object, unreadable envelope) is buried at once.

The work runs in tasks of its own: a lost connection does not cancel it, its late acknowledgement
is dropped, and a redelivery that arrives meanwhile joins it instead of starting it twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain
from typing import Generic, TypeAlias, TypeVar, cast

from posthouse.bus.connection import Broker
from posthouse.bus.feeding import Feed
from posthouse.bus.inbox import MAX_GATHERED, PORTION, Delivery, FairInbox
from posthouse.bus.moves import Ack, Bury, Move, Wait
from posthouse.bus.onward import Letter, Onward, letters
from posthouse.bus.publisher import Parcel, Publisher
from posthouse.bus.wire import decode
from posthouse.mail.envelope import Envelope
from posthouse.mail.errors import BadEnvelope, Unavailable
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter
from posthouse.telemetry.outages import Outage
from posthouse.telemetry.probes import Beat

__all__ = ["Ack", "Bury", "Fairness", "Move", "Wait", "consume", "consume_fairly"]

FIRST_HOLD_SECONDS = 0.1
LONGEST_HOLD_SECONDS = 5.0
LONGEST_HOLD = timedelta(minutes=10)  # what was prefetched behind it has waited as long already
LOOK_AHEAD = MAX_GATHERED + 2000  # messages of one road in this process; small ones

log = get_logger()
_held = counter("posthouse_bus_held_seconds_total", "Time that work was held.", "road")
_bugs = counter("posthouse_bus_handler_failures_total", "Exceptions from handlers.", "road")
_split = counter("posthouse_bus_batches_split_total", "Batches retried one by one.", "road")

E = TypeVar("E", bound=Envelope)
T = TypeVar("T")
Handler: TypeAlias = Callable[[Sequence[E]], Awaitable[Sequence[Move]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fairness(Generic[E]):
    """How a road is shared by those whose mail goes over it.

    Attributes:
        concurrency: The most calls at once.
        share: The most calls at once for one next hop.
        surplus: Handler, in portions, of what gathers all the same (`inbox.MAX_GATHERED`, `MAX_SECONDS`).
    """

    concurrency: int
    share: int
    surplus: Handler[E]


class _Abandoned(Exception):
    """Held work is left to redelivery: the service stops, or the channel is gone."""


class _Postponed(Exception):
    """Held work has been held long enough: it waits on the roads."""


async def consume(
    broker: Broker,
    road: str,
    handler: Handler[E],
    *,
    beat: Beat,
    batch: int = 1,
    concurrency: int = 1,
) -> None:
    """Serve ``road`` until cancelled; then finish what runs and leave the rest to others.

    Args:
        broker: Where the road is; when it is lost, consuming goes on after it is back.
        road: One of `topology.ROADS`.
        handler: Gets 1 to ``batch`` envelopes, returns one `Move` for each, in their order.
        beat: The pulse that readiness looks at; its patience must exceed one call's duration.
        batch: The most envelopes in one call. What has gathered is taken without waiting.
        concurrency: The most calls at once.
    """
    feed = Feed(broker, road, beat)
    consumer = _Consumer(broker, feed, handler, batch)
    await _until_stopped(broker, feed, 2 * batch * concurrency, consumer.work(concurrency))


async def consume_fairly(
    broker: Broker,
    road: str,
    handler: Handler[E],
    *,
    beat: Beat,
    fairness: Fairness[E],
) -> None:
    """Serve ``road`` like `consume`, one envelope in each call: next hops and senders in turn."""
    feed = Feed(broker, road, beat, FairInbox(fairness.share, beat.now))
    one_by_one = _Consumer(broker, feed, handler, batch=1)
    portions = _Consumer(broker, feed, fairness.surplus, batch=PORTION)
    work = one_by_one.work(fairness.concurrency), portions.shed()
    await _until_stopped(broker, feed, LOOK_AHEAD, *work)


async def _until_stopped(
    broker: Broker, feed: Feed, prefetch: int, *work: Coroutine[None, None, None]
) -> None:
    """Do ``work`` on what ``feed`` brings until cancelled; then let it finish what runs."""
    working = asyncio.create_task(_serve(feed, prefetch, work), name=f"consume {feed.road}")
    try:
        await asyncio.shield(working)
    except asyncio.CancelledError:
        feed.stop()
        await asyncio.wait((working,), timeout=broker.grace.total_seconds())
        raise
    finally:
        if not working.done():
            log.warning("work left behind", road=feed.road, reason="the grace period is over")
            working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def _serve(feed: Feed, prefetch: int, work: Sequence[Coroutine[None, None, None]]) -> None:
    async with feed.open(prefetch), asyncio.TaskGroup() as tasks:
        for each in work:
            tasks.create_task(each)


class _Consumer:
    """One road, one handler."""

    def __init__(self, broker: Broker, feed: Feed, handler: Handler[E], batch: int) -> None:
        self.feed = feed
        self._batch = batch
        self._broker = broker
        self._road = road = feed.road
        self._handler = cast(Handler[Envelope], handler)
        self._beat = feed.beat
        self._onward = Onward(broker.name, road)
        self._publisher = Publisher(broker)
        self._holding = 0
        self._outage = Outage("work held", "work no longer held", road=road)

    async def work(self, concurrency: int) -> None:
        """Take batches and work on them until the feed is stopped."""
        slots = asyncio.Semaphore(concurrency)
        async with asyncio.TaskGroup() as tasks:
            while True:
                await slots.acquire()
                deliveries = await self.feed.take(self._batch)
                if not deliveries:
                    break
                task = tasks.create_task(self._work_on(deliveries))
                task.add_done_callback(lambda _: slots.release())

    async def shed(self) -> None:
        """Take what is too much, portion by portion, until the feed is stopped."""
        while deliveries := await self.feed.surplus():
            await self._work_on(deliveries)

    async def _work_on(self, deliveries: Sequence[Delivery]) -> None:
        """Bring ``deliveries`` to their end, or leave them to redelivery."""
        try:
            onward = await self._decide(deliveries)
            if onward:
                await self._hold(lambda: self._publisher.dispatch(onward), deliveries)
        except _Abandoned as reason:
            log.warning(
                "work abandoned", road=self._road, count=len(deliveries), reason=str(reason)
            )
            self.feed.abandon(deliveries)
        else:
            await self.feed.settle(deliveries)

    async def _decide(self, deliveries: Sequence[Delivery]) -> list[Parcel]:
        """Return what is to be published before ``deliveries`` are acknowledged."""
        read: list[tuple[Letter, Envelope]] = []
        onward: list[Parcel] = []
        for letter in chain.from_iterable(map(letters, deliveries)):
            try:
                if letter.delivery.is_again and len(letter.delivery.lines) > 1:
                    onward.append(self._onward.apart(letter))
                else:
                    read.append((letter, decode(letter.body, self._road)))
            except BadEnvelope as error:
                onward.append(self._onward.bury(letter, error))
        for at in range(0, len(read), self._batch):
            parcels = await self._handle(read[at : at + self._batch])
            onward.extend(parcel for parcel in parcels if parcel is not None)
        return onward

    async def _handle(self, read: Sequence[tuple[Letter, Envelope]]) -> list[Parcel | None]:
        """Ask the handler, isolating what it cannot bear."""
        envelopes = tuple(envelope for _, envelope in read)
        found = [letter for letter, _ in read]
        deliveries = [letter.delivery for letter in found]
        try:
            moves = await self._hold(lambda: self._handler(envelopes), deliveries, LONGEST_HOLD)
            if len(moves) != len(read):
                raise ValueError(f"{len(moves)} moves for {len(read)} envelopes")
        except _Abandoned:
            raise
        except _Postponed:
            return [self._onward.postpone(letter) for letter in found]
        except Exception as error:
            _bugs.labels(self._road).inc()
            log.exception("handler failed", road=self._road, count=len(read))
            if len(read) == 1:
                return [self._onward.blame(found[0], error)]
            _split.labels(self._road).inc()
            return [parcel for one in read for parcel in await self._handle([one])]
        return [self._onward.carry(letter, move) for letter, move in zip(found, moves, strict=True)]

    async def _hold(
        self,
        attempt: Callable[[], Awaitable[T]],
        deliveries: Sequence[Delivery],
        limit: timedelta = timedelta.max,
    ) -> T:
        """Return what ``attempt`` returns, however long (up to ``limit``) our house is away."""
        pause = FIRST_HOLD_SECONDS
        held = False
        try:
            while True:
                try:
                    return await attempt()
                except Unavailable as trouble:
                    self._holding += not held
                    held = True
                    self._justify(trouble, deliveries)
                    if self._beat.now() - deliveries[0].taken > limit.total_seconds():
                        raise _Postponed from trouble
                await self.feed.pause(pause)
                _held.labels(self._road).inc(pause)
                pause = min(2 * pause, LONGEST_HOLD_SECONDS)
        finally:
            self._holding -= held
            if not self._holding:
                self._beat.release()
                self._outage.over()

    def _justify(self, trouble: Unavailable, deliveries: Sequence[Delivery]) -> None:
        """Say that work is held, or raise `_Abandoned` if there is no sense in it."""
        self._outage.away(str(trouble))
        if self.feed.is_stopping:
            raise _Abandoned("the service stops") from trouble
        if not any(delivery.is_ours for delivery in deliveries):
            raise _Abandoned("the broker has taken it back") from trouble
        self._beat.hold(str(trouble))
