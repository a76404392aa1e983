"""The outbox: what is committed is published behind the sender's back, in batches.

The order at acceptance is: octets durable, ledger committed, 250, then publish. So nobody waits
for the broker here, and nothing is lost when it does not answer: an envelope that was not
confirmed keeps its row in ``unpublished``, and the sweeper publishes it (promise 5).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from types import TracebackType
from typing import Protocol, Self
from uuid import UUID

from posthouse.bus.topology import road_of
from posthouse.mail.envelope import Envelope
from posthouse.mail.errors import Unavailable
from posthouse.runtime.duties import Duties
from posthouse.storage import ledger
from posthouse.storage.pool import Pool
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter, gauge
from posthouse.telemetry.outages import Outage

MAX_WAITING = 20_000  # envelopes; what comes on top is left to the sweeper
MAX_BATCH = 256
MARK_AFTER = timedelta(milliseconds=250)  # the sweeper looks at what is seconds old
GRACE = timedelta(seconds=5)  # for what is waiting when we stop

log = get_logger()
_published = counter("posthouse_outbox_published_total", "Envelopes published after the commit.")
_left = counter(
    "posthouse_outbox_left_total", "Envelopes left to the sweeper, by the reason.", "reason"
)
_waiting = gauge("posthouse_outbox_waiting", "Envelopes that wait to be published.")


class Sender(Protocol):
    """What publishes."""

    async def send(self, road: str, envelopes: Sequence[Envelope]) -> None:
        """Return once all ``envelopes`` are confirmed on ``road``; raise if any is not."""
        ...


class Outbox:
    """Publishes in the background while it is open; an asynchronous context manager."""

    def __init__(self, pool: Pool, publisher: Sender, grace: timedelta = GRACE) -> None:
        self._pool = pool
        self._publisher = publisher
        self._grace = grace
        self._waiting: deque[Envelope] = deque()
        self._confirmed: list[UUID] = []
        self._outage = Outage("envelopes left to the sweeper", "envelopes published again")
        self._something_waits = asyncio.Event()
        self._something_is_confirmed = asyncio.Event()
        self._closing = False
        self._sent_all = asyncio.Event()
        self._duties = Duties()

    async def __aenter__(self) -> Self:
        await self._duties.begin(self._keep_sending(), self._keep_marking())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing = True
        self._something_waits.set()
        await self._duties.finish(self._grace)
        if self._waiting:
            self._leave("stopped", len(self._waiting))
        await self._duties.end(kind, error, trace)

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Publish ``envelopes``, whose rows are committed, soon; never waits, never raises."""
        if len(self._waiting) + len(envelopes) > MAX_WAITING:
            self._leave("full", len(envelopes))
            return
        self._waiting.extend(envelopes)
        _waiting.set(len(self._waiting))
        self._something_waits.set()

    async def _keep_sending(self) -> None:
        while self._waiting or not self._closing:
            if not self._waiting:
                self._something_waits.clear()
                await self._something_waits.wait()
                continue
            batch = [self._waiting.popleft() for _ in range(min(MAX_BATCH, len(self._waiting)))]
            _waiting.set(len(self._waiting))
            await self._send(batch)
        self._sent_all.set()
        self._something_is_confirmed.set()

    async def _send(self, batch: Sequence[Envelope]) -> None:
        roads: dict[str, list[Envelope]] = {}
        for envelope in batch:
            roads.setdefault(road_of(envelope), []).append(envelope)
        failed: set[UUID] = set()
        for road, envelopes in roads.items():
            try:
                await self._publisher.send(road, envelopes)
            except Unavailable as outage:
                failed.update(envelope.id for envelope in envelopes)
                _left.labels("broker").inc(len(envelopes))
                self._outage.away(str(outage))
            except Exception:
                failed.update(envelope.id for envelope in envelopes)
                _left.labels("broker").inc(len(envelopes))
                log.exception("envelopes not published", road=road, count=len(envelopes))
            else:
                _published.inc(len(envelopes))
                self._outage.over()
        # A message is published when all its envelopes are.
        self._confirmed.extend({envelope.id for envelope in batch} - failed)
        self._something_is_confirmed.set()

    async def _keep_marking(self) -> None:
        """Take published messages off the sweeper's list, many with one commit."""
        while self._confirmed or not self._sent_all.is_set():
            self._something_is_confirmed.clear()
            if not self._confirmed:
                await self._something_is_confirmed.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(MARK_AFTER.total_seconds()):
                    await self._sent_all.wait()
            ids, self._confirmed = self._confirmed, []
            if ids:
                await self._mark(ids)

    async def _mark(self, ids: Iterable[UUID]) -> None:
        try:
            await ledger.published(self._pool, list(ids))
        # In both cases the sweeper publishes them once more; their work will be found done.
        except Unavailable as outage:
            log.warning("publishing not noted", reason=str(outage))
        except Exception:
            log.exception("publishing not noted")

    def _leave(self, reason: str, count: int) -> None:
        _left.labels(reason).inc(count)
        log.warning("envelopes left to the sweeper", reason=reason, count=count)
