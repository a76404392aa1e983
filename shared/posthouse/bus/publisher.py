"""Publishing: nothing counts as sent before the broker has confirmed it.

Every message is mandatory and persistent. Whatever goes wrong (returned, refused, blocked,
no answer) is `Unavailable` within a bounded time and never retried here: the ledger knows what
was not published, and consumers hold their work.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NoReturn

import aiormq
from aio_pika.abc import AbstractChannel, DeliveryMode
from aio_pika.exceptions import PublishError

from posthouse.bus.connection import LOST, Broker, bare, losses_told
from posthouse.bus.obituary import History, Obituary
from posthouse.bus.topology import (
    DEAD_EXCHANGE,
    EVENTS_EXCHANGE,
    ROADS_EXCHANGE,
    dead_queue,
    wait_exchange,
)
from posthouse.bus.wire import bundled, encode, encode_notices
from posthouse.mail.envelope import Envelope, MailboxChanged
from posthouse.mail.errors import Unavailable
from posthouse.telemetry.metrics import Counter, counter

TIMEOUT = timedelta(seconds=10)
MAX_OUTSTANDING = 256  # messages written together before their confirms are awaited

_published = counter(
    "posthouse_bus_published_total", "Messages the broker has confirmed.", "exchange"
)
_unpublished = counter(
    "posthouse_bus_publish_failures_total", "Messages the broker has not confirmed.", "exchange"
)
_noticed = counter("posthouse_bus_notices_total", "Notices of mailbox changes sent.")
_unnoticed = counter("posthouse_bus_notices_dropped_total", "Notices dropped: no broker.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One message as it is published.

    Attributes:
        exchange: Where to.
        key: The routing key; behind a wait exchange the road it returns to.
        body: Its octets.
        headers: What travels beside them.
    """

    exchange: str
    key: str
    body: bytes
    headers: Mapping[str, str | int] = field(default_factory=dict)

    @classmethod
    def on_road(cls, road: str, body: bytes, history: History | None = None) -> Parcel:
        """For the next station."""
        headers = history.headers() if history else {}
        return cls(exchange=ROADS_EXCHANGE, key=road, body=body, headers=headers)

    @classmethod
    def waiting(
        cls, delay: timedelta, road: str, body: bytes, history: History | None = None
    ) -> Parcel:
        """For the road ``road`` again, after ``delay``."""
        headers = history.headers() if history else {}
        return cls(exchange=wait_exchange(delay), key=road, body=body, headers=headers)

    @classmethod
    def dead(cls, road: str, body: bytes, obituary: Obituary) -> Parcel:
        """For the parking place of ``road``."""
        headers = obituary.headers(road)
        return cls(exchange=DEAD_EXCHANGE, key=dead_queue(road), body=body, headers=headers)


class Publisher:
    """Publishes over one channel, which is opened again whenever it was lost."""

    def __init__(self, broker: Broker, timeout: timedelta = TIMEOUT) -> None:
        self._broker = broker
        self._seconds = timeout.total_seconds()
        self._channel: AbstractChannel | None = None
        self._opening = asyncio.Lock()
        self._notices: AbstractChannel | None = None

    async def send(self, road: str, envelopes: Sequence[Envelope]) -> None:
        """Publish ``envelopes`` on ``road``.

        Raises:
            Unavailable: If any of them was not confirmed; some others may have been.
        """
        await self.dispatch([Parcel.on_road(road, body) for body in bundled(road, envelopes)])

    async def wait(
        self, delay: timedelta, road: str, envelope: Envelope, failures: History | None = None
    ) -> None:
        """Publish ``envelope`` so that it reaches ``road`` after ``delay``.

        Raises:
            Unavailable: If it was not confirmed.
        """
        await self.dispatch([Parcel.waiting(delay, road, encode(envelope), failures)])

    async def bury(self, road: str, body: bytes, obituary: Obituary) -> None:
        """Park ``body``, found on ``road``, among the dead letters.

        Raises:
            Unavailable: If it was not confirmed.
        """
        await self.dispatch([Parcel.dead(road, body, obituary)])

    async def dispatch(self, parcels: Sequence[Parcel]) -> None:
        """Publish ``parcels`` together.

        Raises:
            Unavailable: If any of them was not confirmed; some others may have been.
        """
        for start in range(0, len(parcels), MAX_OUTSTANDING):
            await self._dispatch(parcels[start : start + MAX_OUTSTANDING])

    async def notify(self, changes: Sequence[MailboxChanged]) -> None:
        """Tell all gateways what changed: at most once, and never an error.

        A lost notice only delays: the gateways look at their mailboxes themselves, too.
        """
        if not changes:
            return
        try:
            await self._notify(encode_notices(changes))
        except Unavailable:
            _unnoticed.inc(len(changes))
        else:
            _noticed.inc(len(changes))

    async def _dispatch(self, parcels: Sequence[Parcel]) -> None:
        try:
            with losses_told("not published"):
                async with asyncio.timeout(self._seconds):
                    channel = await self._confirming()
                    results = await asyncio.gather(
                        *(_publish(channel, parcel) for parcel in parcels), return_exceptions=True
                    )
        except Unavailable:
            _count(parcels, _unpublished)
            await self._give_up_channel()
            raise
        failed = [
            (parcel, result)
            for parcel, result in zip(parcels, results, strict=True)
            if isinstance(result, BaseException)
        ]
        _count([p for p, r in zip(parcels, results, strict=True) if r is None], _published)
        if failed:
            _count([parcel for parcel, _ in failed], _unpublished)
            self._explain(*failed[0], len(failed))

    def _explain(self, parcel: Parcel, error: BaseException, count: int) -> NoReturn:
        """Raise what ``error`` means for the caller; mend what can be mended."""
        detail = f"{count} not published, one to {parcel.exchange} {parcel.key}: {error!r}"
        if isinstance(error, PublishError | aiormq.exceptions.ChannelNotFoundEntity):
            self._broker.mend()  # a road is missing; it will be there for a later attempt
        raise Unavailable("the broker did not take it", detail=detail) from error

    async def _confirming(self) -> aiormq.Channel:
        channel = self._channel
        if channel is None or channel.is_closed:  # else spare the lock: one a turn would get it
            async with self._opening:
                channel = self._channel
                if channel is None or channel.is_closed:
                    channel = self._channel = await self._broker.publishing.channel(confirms=True)
        return await bare(channel)

    async def _give_up_channel(self) -> None:
        """Forget a channel with unanswered publishes: late confirms would pile up in it."""
        channel, self._channel = self._channel, None
        if channel is not None and not channel.is_closed:
            with contextlib.suppress(*LOST):
                async with asyncio.timeout(1):
                    await channel.close()

    async def _notify(self, body: bytes) -> None:
        if not self._broker.publishing.is_up:
            raise Unavailable("the broker is away")
        with losses_told("not noticed"):
            async with asyncio.timeout(1):
                if self._notices is None or self._notices.is_closed:
                    self._notices = await self._broker.publishing.channel(confirms=False)
                channel = await bare(self._notices)
                await channel.basic_publish(
                    body,
                    exchange=EVENTS_EXCHANGE,
                    properties=aiormq.spec.Basic.Properties(delivery_mode=1),
                    wait=False,
                )


async def _publish(channel: aiormq.Channel, parcel: Parcel) -> None:
    await channel.basic_publish(
        parcel.body,
        exchange=parcel.exchange,
        routing_key=parcel.key,
        mandatory=True,
        properties=aiormq.spec.Basic.Properties(
            content_type="application/json",
            delivery_mode=DeliveryMode.PERSISTENT,
            headers=dict(parcel.headers) or None,
        ),
        wait=False,
    )


def _count(parcels: Sequence[Parcel], metric: Counter) -> None:
    for parcel in parcels:
        metric.labels(parcel.exchange).inc()
