"""How a service runs: the loop, its logs and probes, its signals, its end.

SIGTERM and SIGINT set `Lifecycle.stopping`; a second one ends the process at once. A background
duty that dies ends the service with a non-zero code, so that nothing is lost silently.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar

import uvloop

from posthouse.runtime.allocator import settle_allocator
from posthouse.runtime.settings import CommonSettings, effective
from posthouse.telemetry.logs import configure, get_logger
from posthouse.telemetry.probes import Probes, serve_probes

CLOSING = timedelta(seconds=10)  # after the grace period: for closing pools and connections
EXIT_FAILED = 1
EXIT_IMPATIENT = 130  # the second signal

T = TypeVar("T")

log = get_logger()


class Lifecycle:
    """What a service's composition root is handed.

    Attributes:
        stopping: Set at the first signal: take nothing new, finish what runs.
        probes: Where parts report whether they are ready.
        grace: How long running work may go on after `stopping`.
        tasks: Background duties; one that dies ends the service. They are cancelled when the
            composition root returns.
    """

    def __init__(self, tasks: asyncio.TaskGroup, probes: Probes, grace: timedelta) -> None:
        self.stopping = asyncio.Event()
        self.probes = probes
        self.grace = grace
        self.tasks = tasks
        self._reload: list[Callable[[], object]] = []

    def on_reload(self, hook: Callable[[], object]) -> None:
        """Call ``hook`` on SIGHUP (certificates)."""
        self._reload.append(hook)

    def reload(self) -> None:
        """Do what SIGHUP asks for."""
        log.info("reload asked for")
        for hook in self._reload:
            hook()

    def stop(self) -> None:
        """Begin to stop, as the first signal does."""
        self.stopping.set()

    async def unless_stopped(self, waiting: Awaitable[T]) -> T:
        """Return what ``waiting`` returns: for what a service needs before it can begin.

        Raises:
            StoppedEarly: If the service is told to stop before that; it then ends in order.
        """
        awaited = asyncio.ensure_future(waiting)
        stopped = asyncio.ensure_future(self.stopping.wait())
        try:
            await asyncio.wait((awaited, stopped), return_when=asyncio.FIRST_COMPLETED)
            if not awaited.done():
                raise StoppedEarly
            return awaited.result()
        finally:
            for one in (awaited, stopped):
                one.cancel()
            await asyncio.gather(awaited, stopped, return_exceptions=True)

    async def until_stopped(self, *duties: Coroutine[Any, Any, object]) -> None:
        """Run ``duties`` until `stopping` is set; then cancel them and wait until they are done.

        Raises:
            ExceptionGroup: If a duty died.
        """
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(duty) for duty in duties]
            await self.stopping.wait()
            for task in running:
                task.cancel()


class StoppedEarly(Exception):
    """The service was told to stop while it still waited for what it needs."""


class _Ended(Exception):
    """The composition root returned: background duties are to be cancelled."""


Main = Callable[[Lifecycle], Awaitable[None]]


def run(name: str, settings: CommonSettings, main: Main) -> None:
    """Run the service ``name`` until it is told to stop, then exit.

    The exit code is 0 after a signal, 1 if ``main`` or a background duty failed.
    """
    configure(name, settings.log_level)
    settle_allocator()
    log.info("service started", pid=os.getpid(), settings=effective(settings))
    # What the modules made lives as long as we do. The collector would look through it again and
    # again, and each time nothing else ran for 50 ms.
    gc.collect()
    gc.freeze()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_live(settings, main))
    except Exception:
        log.critical("service failed", exc_info=True)
        sys.exit(EXIT_FAILED)
    log.info("service stopped")


async def _live(settings: CommonSettings, main: Main) -> None:
    grace = timedelta(seconds=settings.grace_seconds)
    probes = Probes()
    try:
        async with (
            serve_probes(settings.health_host, settings.health_port, probes),
            asyncio.TaskGroup() as tasks,
        ):
            lifecycle = Lifecycle(tasks, probes, grace)
            probes.ready("service", lambda: "stopping" if lifecycle.stopping.is_set() else None)
            _listen(lifecycle)
            async with asyncio.timeout(None) as limit:
                tasks.create_task(_end_in_time(lifecycle, limit), name="end in time")
                await main(lifecycle)
            raise _Ended  # a task group is left early only by an exception
    except* (_Ended, StoppedEarly):
        pass


async def _end_in_time(lifecycle: Lifecycle, limit: asyncio.Timeout) -> None:
    """Give the composition root the grace period, and a little to close what it has opened."""
    await lifecycle.stopping.wait()
    seconds = (lifecycle.grace + CLOSING).total_seconds()
    limit.reschedule(asyncio.get_running_loop().time() + seconds)


def _listen(lifecycle: Lifecycle) -> None:
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        if lifecycle.stopping.is_set():
            log.warning("service ended at once", signal=number.name)
            os._exit(EXIT_IMPATIENT)
        log.info("stop asked for", signal=number.name)
        lifecycle.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    loop.add_signal_handler(signal.SIGHUP, lifecycle.reload)
