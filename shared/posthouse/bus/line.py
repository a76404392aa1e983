"""A line: one connection to the broker, kept up for ever.

A plain aio-pika connection with a keeper of our own instead of a "robust" one: what has to come
back after a loss (topology, consumers, subscriptions) is said in one place each, and nothing is
resurrected behind our back.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import aio_pika
import aiormq
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import CONNECTION_EXCEPTIONS

from posthouse.bus.chatter import hush
from posthouse.bus.transport import GatheringConnection
from posthouse.mail.errors import Unavailable
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter
from posthouse.telemetry.outages import Outage

HEARTBEAT_SECONDS = 15
CONNECT_SECONDS = 10.0
CLOSE_SECONDS = 5.0
WAIT_UP_SECONDS = 2.0  # how long work waits for a lost connection before it is refused
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
PAUSE_GROWTH = 1.1  # a pause is a tenth of the time waited: a broker that boots is soon found
WATCH_SECONDS = 1.0  # how often an open connection is asked whether the broker blocks it

# Everything the library raises when the other side is gone, slow or refuses.
LOST = (*CONNECTION_EXCEPTIONS, TimeoutError)

Prepare = Callable[[AbstractConnection], Awaitable[object]]

hush()
log = get_logger()
_connected = counter(
    "posthouse_bus_connections_total", "Connections made to the broker.", "purpose"
)
_lost = counter(
    "posthouse_bus_connections_lost_total", "Connections to the broker lost.", "purpose"
)


@contextmanager
def losses_told(doing: str) -> Iterator[None]:
    """Turn what the library raises over a lost connection into `Unavailable`."""
    try:
        yield
    except LOST as error:
        raise Unavailable("the broker is away", detail=f"{doing}: {_in_words(error)}") from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        # Nobody cancelled us: the library does so to what waits on a channel that is gone.
        raise Unavailable("the broker is away", detail=f"{doing}: channel lost") from error


def _in_words(error: BaseException) -> str:
    """Return what the library raised as a sentence: its own shows brackets in brackets."""
    name, said = type(error).__name__, " ".join(map(str, error.args))
    return f"{name}: {said}" if said else name


async def bare(channel: AbstractChannel) -> aiormq.Channel:
    """Return what lies under ``channel``: it writes without a task per frame.

    It is aio-pika's documented way down; ``wait=False`` and ``consumers`` are aiormq's, and
    tests/integration/bus would notice if they went.
    """
    below = await channel.get_underlay_channel()
    if not isinstance(below, aiormq.Channel):
        raise TypeError(f"not an aiormq channel: {below!r}")
    return below


class Line:
    """One connection that is kept up.

    Attributes:
        trouble: Why it cannot be used, in words; empty if it can.
    """

    def __init__(
        self, url: str, name: str, purpose: str, prepare: Prepare, tasks: asyncio.TaskGroup
    ) -> None:
        self._url = url
        self._title = f"{name} {purpose}"
        self._purpose = purpose
        self._prepare = prepare
        self._tasks = tasks
        self._connection: AbstractConnection | None = None
        self._up = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._stopping = False
        self._outage = Outage("broker unreachable", "broker reconnected", purpose=purpose)
        self.trouble = "not connected yet"

    @property
    def is_up(self) -> bool:
        """True if it is connected and the broker does not block it."""
        return self._up.is_set() and not self.trouble

    @property
    def is_connected(self) -> bool:
        """True if there is a connection, be it blocked; if not, the log has said so."""
        return self._up.is_set()

    @property
    def is_used(self) -> bool:
        """True if somebody has asked for it."""
        return self._keeper is not None

    def start(self) -> None:
        """Begin to connect; harmless if begun."""
        if self._keeper is None:
            self._keeper = self._tasks.create_task(self._keep(), name=self._title)

    async def stop(self) -> None:
        """Close it, within seconds."""
        self._stopping = True
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait((self._keeper,), timeout=2 * CLOSE_SECONDS)

    async def channel(self, *, confirms: bool) -> AbstractChannel:
        """Return a new channel; with ``confirms``, a returned message raises as well.

        Raises:
            Unavailable: If the broker is not there within seconds.
        """
        self.start()
        with losses_told("no channel to the broker"):
            async with asyncio.timeout(WAIT_UP_SECONDS):
                channel = (await self.connection()).channel(
                    publisher_confirms=confirms, on_return_raises=confirms
                )
                await channel.initialize()
                return channel

    async def connection(self) -> AbstractConnection:
        """Return the connection as soon as there is one; the caller sets a timeout.

        Raises:
            Unavailable: If it was lost in the same moment.
        """
        await self._up.wait()
        if self._connection is None:
            raise Unavailable("the broker is away")
        return self._connection

    async def _keep(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                with losses_told(self._title):
                    async with self._open() as connection:
                        pause = FIRST_PAUSE_SECONDS
                        self.trouble = f"connection lost: {await self._watch(connection)}"
                        _lost.labels(self._purpose).inc()
            except Unavailable as error:
                self.trouble = str(error)
            if self._stopping:  # the library turns a cancellation while it connects into a failure
                return
            self._outage.away(self.trouble)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            pause = min(PAUSE_GROWTH * pause, LONGEST_PAUSE_SECONDS)

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[AbstractConnection]:
        connection = await aio_pika.connect(
            self._url,
            timeout=CONNECT_SECONDS,
            client_properties={"connection_name": self._title},
            heartbeat=HEARTBEAT_SECONDS,
            connection_class=GatheringConnection,
        )
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._prepare(connection)
            self._connection, self.trouble = connection, ""
            self._up.set()
            _connected.labels(self._purpose).inc()
            if not self._outage.over():
                log.info("broker connected", purpose=self._purpose)
            yield connection
        finally:
            self._up.clear()
            self._connection = None
            with contextlib.suppress(*LOST):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await connection.close()

    async def _watch(self, connection: AbstractConnection) -> str:
        """Return why the connection was lost; notice meanwhile whether it is blocked."""
        closed = asyncio.Event()
        why = "no word from the broker"

        def end(_: object, error: BaseException | None) -> None:
            nonlocal why
            if error is not None and not isinstance(error, asyncio.CancelledError):
                why = _in_words(error)
            closed.set()

        connection.close_callbacks.add(end, weak=False)
        while connection.connected.is_set() and not closed.is_set():
            blocked = await _is_blocked(connection)
            if blocked != bool(self.trouble):
                self.trouble = "the broker blocks publishers (alarm)" if blocked else ""
                log.warning("broker alarm changed", blocked=blocked, purpose=self._purpose)
            await _heard(closed)
        await _heard(closed)  # the reason comes a moment after the loss
        return why


async def _heard(closed: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(WATCH_SECONDS):
            await closed.wait()


async def _is_blocked(connection: AbstractConnection) -> bool:
    if connection.transport is None:
        return False
    try:
        async with asyncio.timeout(0.01):  # both conditions are known here and now
            await connection.transport.ready()
    except TimeoutError:
        return True
    return False
