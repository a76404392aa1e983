"""Events: what changed in which mailbox, told to every gateway process (IDLE, RFC 2177).

Each process has an exclusive queue, which dies with its connection. After a new subscription
notices may have been lost, so the subscriber is told to look for itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import aiormq
from aiormq.abc import DeliveredMessage

from posthouse.bus.connection import Broker, bare, losses_told
from posthouse.bus.feeding import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, WATCH_SECONDS
from posthouse.bus.topology import EVENTS_EXCHANGE
from posthouse.bus.wire import decode_notices
from posthouse.mail.envelope import MailboxChanged
from posthouse.mail.errors import BadEnvelope, Unavailable
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter
from posthouse.telemetry.outages import Outage

MAX_QUEUED = 100_000  # notices; a process that is slower than that looks for itself anyway
RPC_SECONDS = 10.0

OnChange = Callable[[MailboxChanged], None]
OnGap = Callable[[], None]

log = get_logger()
_heard = counter("posthouse_bus_notices_heard_total", "Notices of mailbox changes received.")
_gaps = counter("posthouse_bus_notice_gaps_total", "Times that notices may have been lost.")


async def subscribe(broker: Broker, on_change: OnChange, on_gap: OnGap | None = None) -> None:
    """Call ``on_change`` for every notice, until cancelled.

    Args:
        broker: When it is lost, the subscription is made again after it is back.
        on_change: Called on the event loop; must be quick and must not raise.
        on_gap: Called whenever a subscription begins: earlier notices may have been lost.
    """
    pause = FIRST_PAUSE_SECONDS
    outage = Outage("not subscribed", "subscribed")
    while True:
        try:
            channel = await broker.consuming.channel(confirms=False)
            try:
                with losses_told("not subscribed"):
                    below = await bare(channel)
                    ended = await _listen(below, on_change)
                    pause = FIRST_PAUSE_SECONDS
                    outage.over()
                    _gaps.inc()
                    if on_gap is not None:
                        on_gap()
                    await _stay(below, ended)
            finally:
                with contextlib.suppress(Unavailable), losses_told("not closed"):
                    async with asyncio.timeout(RPC_SECONDS):
                        await channel.close()
        except Unavailable as error:
            if broker.consuming.is_connected:  # else the line has told why
                outage.away(str(error))
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


async def _listen(below: aiormq.Channel, on_change: OnChange) -> asyncio.Event:
    """Let notices come; return what is set when they no longer do."""
    ended = asyncio.Event()

    async def arrived(message: DeliveredMessage) -> None:
        try:
            changes = decode_notices(message.body)
        except BadEnvelope as error:
            log.warning("notice unreadable", error=str(error))
            return
        _heard.inc(len(changes))
        for change in changes:
            on_change(change)

    def end(*_: object) -> None:
        ended.set()

    queue = await below.queue_declare(
        exclusive=True,
        auto_delete=True,
        arguments={"x-max-length": MAX_QUEUED},
        timeout=RPC_SECONDS,
    )
    name = queue.queue or ""
    await below.queue_bind(name, EVENTS_EXCHANGE, timeout=RPC_SECONDS)
    below.closing.add_done_callback(end)
    below.on_consumer_cancel_callbacks.add(end)
    await below.basic_consume(name, arrived, no_ack=True, timeout=RPC_SECONDS)
    return ended


async def _stay(below: aiormq.Channel, ended: asyncio.Event) -> None:
    """Return or raise when ``below`` no longer delivers; a quiet one is asked now and then."""
    while not ended.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WATCH_SECONDS):
                await ended.wait()
        if not ended.is_set():
            await below.basic_qos(prefetch_count=0, timeout=RPC_SECONDS)
