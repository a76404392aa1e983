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
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import TypeAlias, TypeVar, cast

from posthouse.bus.connection import Broker
from posthouse.bus.feeding import Delivery, Feed
from posthouse.bus.moves import Ack, Bury, Move, Wait, patience_after
from posthouse.bus.obituary import History, compose, history_in
from posthouse.bus.publisher import Parcel, Publisher
from posthouse.bus.wire import decode, encode
from posthouse.mail.envelope import Envelope
from posthouse.mail.errors import BadEnvelope, PermanentFailure, Unavailable
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter
from posthouse.telemetry.outages import Outage
from posthouse.telemetry.probes import Beat

__all__ = ["Ack", "Bury", "Move", "Wait", "consume"]

FIRST_HOLD_SECONDS = 0.1
LONGEST_HOLD_SECONDS = 5.0
LONGEST_HOLD = timedelta(minutes=10)  # what was prefetched behind it has waited as long already
AFTER_LONGEST_HOLD = timedelta(minutes=1)

log = get_logger()
_settled = counter("posthouse_bus_settled_total", "Envelopes settled, by the move.", "road", "move")
_held = counter("posthouse_bus_held_seconds_total", "Time that work was held.", "road")
_bugs = counter("posthouse_bus_handler_failures_total", "Exceptions from handlers.", "road")
_split = counter("posthouse_bus_batches_split_total", "Batches retried one by one.", "road")

E = TypeVar("E", bound=Envelope)
T = TypeVar("T")
Handler: TypeAlias = Callable[[Sequence[E]], Awaitable[Sequence[Move]]]


@dataclass(frozen=True, slots=True)
class _Letter:
    """One envelope of a delivery, not yet read."""

    delivery: Delivery
    body: bytes

    @property
    def history(self) -> History:
        """What travelled beside it: envelopes that have failed travel alone."""
        return history_in(self.delivery.headers)


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
    consumer = _Consumer(broker, road, cast(Handler[Envelope], handler), beat, batch)
    working = asyncio.create_task(consumer.work(concurrency), name=f"consume {road}")
    try:
        await asyncio.shield(working)
    except asyncio.CancelledError:
        consumer.feed.stop()
        await asyncio.wait((working,), timeout=broker.grace.total_seconds())
        raise
    finally:
        if not working.done():
            log.warning("work left behind", road=road, reason="the grace period is over")
            working.cancel()
        await asyncio.gather(working, return_exceptions=True)


class _Consumer:
    """One road, one handler."""

    def __init__(
        self, broker: Broker, road: str, handler: Handler[Envelope], beat: Beat, batch: int
    ) -> None:
        self.feed = Feed(broker, road, beat)
        self._batch = batch
        self._broker = broker
        self._road = road
        self._handler = handler
        self._beat = beat
        self._publisher = Publisher(broker)
        self._holding = 0
        self._outage = Outage("work held", "work no longer held", road=road)

    async def work(self, concurrency: int) -> None:
        """Take batches and work on them until the feed is stopped."""
        slots = asyncio.Semaphore(concurrency)
        prefetch = 2 * self._batch * concurrency
        async with self.feed.open(prefetch), asyncio.TaskGroup() as tasks:
            while True:
                await slots.acquire()
                deliveries = await self.feed.take(self._batch)
                if not deliveries:
                    break
                task = tasks.create_task(self._work_on(deliveries))
                task.add_done_callback(lambda _: slots.release())

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
        read: list[tuple[_Letter, Envelope]] = []
        onward: list[Parcel] = []
        for letter in chain.from_iterable(map(_letters, deliveries)):
            try:
                if letter.delivery.is_again and len(letter.delivery.lines) > 1:
                    onward.append(self._apart(letter))
                else:
                    read.append((letter, decode(letter.body, self._road)))
            except BadEnvelope as error:
                _settled.labels(self._road, "bury").inc()
                onward.append(self._bury(letter, error))
        for at in range(0, len(read), self._batch):
            parcels = await self._handle(read[at : at + self._batch])
            onward.extend(parcel for parcel in parcels if parcel is not None)
        return onward

    async def _handle(self, read: Sequence[tuple[_Letter, Envelope]]) -> list[Parcel | None]:
        """Ask the handler, isolating what it cannot bear."""
        envelopes = tuple(envelope for _, envelope in read)
        letters = [letter for letter, _ in read]
        deliveries = [letter.delivery for letter in letters]
        try:
            moves = await self._hold(lambda: self._handler(envelopes), deliveries, LONGEST_HOLD)
            if len(moves) != len(read):
                raise ValueError(f"{len(moves)} moves for {len(read)} envelopes")
        except _Abandoned:
            raise
        except _Postponed:
            return [self._postpone(letter) for letter in letters]
        except Exception as error:
            _bugs.labels(self._road).inc()
            log.exception("handler failed", road=self._road, count=len(read))
            if len(read) == 1:
                return [self._blame(letters[0], error)]
            _split.labels(self._road).inc()
            return [parcel for one in read for parcel in await self._handle([one])]
        return [self._carry(letter, move) for letter, move in zip(letters, moves, strict=True)]

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

    def _apart(self, letter: _Letter) -> Parcel:
        """Return what lets one of several envelopes go on alone."""
        _settled.labels(self._road, "apart").inc()
        return Parcel.on_road(self._road, letter.body)

    def _postpone(self, letter: _Letter) -> Parcel:
        """Return what brings ``letter`` back later, as if it had not been here."""
        _settled.labels(self._road, "postpone").inc()
        history = letter.history
        return Parcel.waiting(AFTER_LONGEST_HOLD, self._road, letter.body, history)

    def _carry(self, letter: _Letter, move: Move) -> Parcel | None:
        """Return what ``move`` publishes."""
        _settled.labels(self._road, type(move).__name__.lower()).inc()
        match move:
            case Ack():
                return None
            case Wait(delay=delay, envelope=envelope):
                body = letter.body if envelope is None else encode(envelope)
                return Parcel.waiting(delay, self._road, body)
            case Bury(reason=reason):
                return self._bury(letter, PermanentFailure(reason))

    def _blame(self, letter: _Letter, error: Exception) -> Parcel:
        """Return what becomes of an envelope whose handling has failed: wait, or be buried."""
        history = letter.history.once_more(datetime.now(UTC))
        delay = patience_after(history.failures)
        if isinstance(error, PermanentFailure) or delay is None:
            _settled.labels(self._road, "bury").inc()
            return self._bury(letter, error)
        log.warning(
            "envelope waits", road=self._road, message=letter.delivery.message_id,
            failures=history.failures, again_in=delay.total_seconds(),
        )  # fmt: skip
        _settled.labels(self._road, "retry").inc()
        return Parcel.waiting(delay, self._road, letter.body, history)

    def _bury(self, letter: _Letter, error: Exception) -> Parcel:
        """Return the dead letter that ``letter`` becomes."""
        history, now = letter.history, datetime.now(UTC)
        obituary = compose(self._broker.name, self._road, error, history, now)
        log.error(
            "envelope buried",
            road=self._road, message=letter.delivery.message_id, reason=obituary.reason,
            fingerprint=obituary.fingerprint,
        )  # fmt: skip
        return Parcel.dead(self._road, letter.body, obituary)


def _letters(delivery: Delivery) -> list[_Letter]:
    return [_Letter(delivery, line) for line in delivery.lines]
