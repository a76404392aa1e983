"""The connections to the broker: kept up for ever, one for publishing and one for consuming.

Two, because a broker under an alarm stops reading from connections that publish, and then
acknowledgements would wait too.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from aio_pika.abc import AbstractConnection

from posthouse.bus.declaring import Finding, declare_all
from posthouse.bus.line import CLOSE_SECONDS, CONNECT_SECONDS, LOST, Line, bare, losses_told
from posthouse.mail.errors import Unavailable
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.probes import Probes

__all__ = [
    "CLOSE_SECONDS",
    "CONNECT_SECONDS",
    "LOST",
    "Broker",
    "bare",
    "connect",
    "losses_told",
]

MEND_SECONDS = 1.0  # before a missing road is declared again
GRACE = timedelta(seconds=20)

log = get_logger()


class Broker:
    """What the roads of one process run over.

    Attributes:
        name: The service; it stands in connections, obituaries and logs.
        grace: How long running work may go on when a consumer is stopped.
        publishing: The connection that publishes.
        consuming: The connection that consumes; opened when somebody consumes.
        mismatch: Which queues exist with other arguments than ours, in words; empty if none.
    """

    def __init__(self, url: str, name: str, grace: timedelta, tasks: asyncio.TaskGroup) -> None:
        self.name = name
        self.grace = grace
        self.publishing = Line(url, name, "publishing", self._declare_on, tasks)
        self.consuming = Line(url, name, "consuming", self._declare_on, tasks)
        self._tasks = tasks
        self.mismatch = ""
        self._mending: asyncio.Task[None] | None = None

    @property
    def is_up(self) -> bool:
        """True if everything that is used is connected and not blocked."""
        return self.trouble() is None

    def trouble(self) -> str | None:
        """Return why the broker cannot be used as it should, None if it can."""
        lines = [self.publishing, *([self.consuming] if self.consuming.is_used else [])]
        troubles = [line.trouble for line in lines if not line.is_up]
        return "; ".join(filter(None, (*troubles, self.mismatch))) or None

    async def wait_until_up(self) -> None:
        """Return once the broker can be reached; for start-up, with a timeout of the caller."""
        while not self.publishing.is_up:
            with contextlib.suppress(Unavailable):
                await (await self.publishing.channel(confirms=False)).close()

    async def declare(self) -> list[Finding]:
        """Declare the topology once more; return what the broker refused.

        Raises:
            Unavailable: If the broker is not there within seconds.
        """
        self.publishing.start()
        with losses_told("roads not declared"):
            async with asyncio.timeout(CONNECT_SECONDS):
                return await self._declare_on(await self.publishing.connection())

    def mend(self) -> None:
        """Declare the topology soon, because a part of it was missed; harmless if under way.

        Not at once: a queue that is declared in the moment after it was deleted keeps its old
        consumers on the broker's books, but delivers nothing to them (seen on 3.10). Given a
        second, the broker tells them that they are cancelled.
        """
        if self._mending is None or self._mending.done():
            self._mending = self._tasks.create_task(self._mend(), name="mend the roads")

    async def close(self) -> None:
        """Close both connections, within seconds."""
        if self._mending is not None:
            self._mending.cancel()
        await self.consuming.stop()
        await self.publishing.stop()

    async def _mend(self) -> None:
        await asyncio.sleep(MEND_SECONDS)
        try:
            await self.declare()
        except Unavailable as error:
            log.warning("roads not mended", reason=str(error))

    async def _declare_on(self, connection: AbstractConnection) -> list[Finding]:
        """Declare the topology; a mismatch is told, but the roads that exist stay in use."""
        findings = await declare_all(connection)
        self.mismatch = "; ".join(map(str, findings))
        if findings:
            log.error("topology refused", findings=self.mismatch)
        return findings


@asynccontextmanager
async def connect(
    url: str, probes: Probes, name: str, *, grace: timedelta = GRACE
) -> AsyncIterator[Broker]:
    """Connect to the broker in the background and keep it up while inside.

    Returns at once, so that a service starts while the broker is down; readiness says so.

    Raises:
        ExceptionGroup: Of what was raised inside, or of a bug in what keeps the connections.
    """
    async with asyncio.TaskGroup() as tasks:
        broker = Broker(url, name, grace, tasks)
        broker.publishing.start()
        probes.ready("broker", broker.trouble)
        try:
            yield broker
        finally:
            probes.forget("broker")
            await broker.close()
