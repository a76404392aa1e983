"""Reading the parking places: what lies in a ``<road>.dead`` queue, and why.

A letter that a consumer buried carries its obituary. One that the broker itself parked, because it
was delivered too often, has only the broker's ``x-death`` (the last resort against an envelope
that kills its consumer before it can say anything).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from posthouse.bus.connection import Broker
from posthouse.bus.feeding import Feed
from posthouse.bus.obituary import (
    EXCEPTION,
    FINGERPRINT,
    LAST_FAILED,
    REASON,
    ROAD,
    SERVICE,
    Obituary,
    fingerprint,
    history_in,
)
from posthouse.bus.topology import DELIVERY_LIMIT, KIND_ON, dead_queue
from posthouse.bus.wire import decode
from posthouse.mail.envelope import Envelope
from posthouse.mail.errors import BadEnvelope, Unavailable
from posthouse.telemetry.probes import Beat

BATCH = 100  # letters taken together
FIRST_HOLD_SECONDS = 0.1
LONGEST_HOLD_SECONDS = 5.0
BROKER = "rabbitmq"  # the service that parks what was delivered too often

_TOO_OFTEN = "delivery_limit"
_EXPIRED = "expired"  # the x-death entry that a wait queue leaves: no failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Burial:
    """One dead letter as it lies in its queue.

    Attributes:
        road: Where it was found dead; where a replay puts it.
        body: The envelope as it travelled.
        envelope: The same, read; None if it cannot be.
        obituary: Why it is here.
    """

    road: str
    body: bytes
    envelope: Envelope | None
    obituary: Obituary


File = Callable[[Sequence[Burial]], Awaitable[object]]


async def undertake(broker: Broker, queue: str, file: File, *, beat: Beat) -> None:
    """Hand what lies in ``queue`` to ``file``, and acknowledge it after that; until cancelled.

    ``file`` may be given a letter more than once. While it raises `Unavailable` the letters are
    held and it is asked again with back-off; anything else it raises is a bug and escapes.
    """
    feed = Feed(broker, queue, beat)
    async with feed.open(prefetch=2 * BATCH):
        while deliveries := await feed.take(BATCH):
            now = datetime.now(UTC)
            burials = [
                read_burial(queue, line, one.headers, now)
                for one in deliveries
                for line in one.lines
            ]
            if await _filed(feed, file, burials, beat):
                await feed.settle(deliveries)
            else:
                feed.abandon(deliveries)


async def _filed(feed: Feed, file: File, burials: Sequence[Burial], beat: Beat) -> bool:
    """File ``burials`` however long storage is away; False if we stop meanwhile."""
    pause = FIRST_HOLD_SECONDS
    while not feed.is_stopping:
        try:
            await file(burials)
        except Unavailable as outage:
            beat.hold(str(outage))
            await feed.pause(pause)
            pause = min(2 * pause, LONGEST_HOLD_SECONDS)
        else:
            beat.release()
            return True
    return False


def read_burial(queue: str, body: bytes, headers: Mapping[str, object], now: datetime) -> Burial:
    """Return what a message in the parking place ``queue`` tells of itself."""
    told = REASON in headers
    road = _text(headers.get(ROAD)) if told else _died_on(headers, queue)
    envelope = _envelope_in(body)
    return Burial(
        road=road,
        body=body,
        envelope=envelope,
        obituary=_told(headers, now) if told else _untold(road, headers, now),
    )


def _told(headers: Mapping[str, object], now: datetime) -> Obituary:
    """Return the obituary that a consumer wrote."""
    history = history_in(headers)
    last = _moment(headers.get(LAST_FAILED)) or now
    return Obituary(
        service=_text(headers.get(SERVICE)),
        reason=_text(headers.get(REASON)),
        exception=_text(headers.get(EXCEPTION)),
        fingerprint=_text(headers.get(FINGERPRINT)),
        failures=history.failures,
        first_failed=history.first_failed or last,
        last_failed=last,
    )


def _untold(road: str, headers: Mapping[str, object], now: datetime) -> Obituary:
    """Return the obituary of what the broker parked: only its ``x-death`` speaks."""
    history = history_in(headers)
    death = _death(headers)
    why = _text(death.get("reason")) or "unknown"
    last = _moment(death.get("time")) or now
    reason = f"parked by the broker: {why.replace('_', ' ')}"
    return Obituary(
        service=BROKER,
        reason=reason,
        fingerprint=fingerprint(BROKER, road, reason),
        failures=max(history.failures, DELIVERY_LIMIT if why == _TOO_OFTEN else 1),
        first_failed=history.first_failed or last,
        last_failed=last,
    )


def _died_on(headers: Mapping[str, object], queue: str) -> str:
    road = _text(_death(headers).get("queue"))
    if road in KIND_ON:
        return road
    return next(name for name in KIND_ON if dead_queue(name) == queue)


def _death(headers: Mapping[str, object]) -> Mapping[str, object]:
    """Return the latest entry of ``x-death`` that is no end of a wait."""
    entries = headers.get("x-death")
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and _text(entry.get("reason")) != _EXPIRED:
            return entry
    return {}


def _envelope_in(body: bytes) -> Envelope | None:
    try:
        return decode(body)
    except BadEnvelope:
        return None


def _text(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode(errors="replace")
    return value if isinstance(value, str) else ""


def _moment(value: object) -> datetime | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, datetime):
        return value.replace(tzinfo=value.tzinfo or UTC)
    return None
