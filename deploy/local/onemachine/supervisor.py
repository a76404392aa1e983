"""Keeps parts running: what dies is started again, slower each time it dies soon."""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from onemachine.children import Child
from onemachine.ready import NotReady

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
STEADY_AFTER_SECONDS = 60.0  # who ran this long begins again with the first pause


class Part(Protocol):
    """A server or a service."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    @property
    def child(self) -> Child | None:
        """The process, once started."""
        ...

    async def start(self) -> None:
        """Start it (again)."""
        ...

    async def stop(self) -> None:
        """End it in good order."""
        ...


class Supervisor:
    """Watches parts until it is closed; tells ``say`` about every death and every restart."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.restarts: dict[str, int] = {}
        self._say = say
        self._watches: dict[str, asyncio.Task[None]] = {}
        # Held while a part starts: a start that is cut off would leave a process nobody knows.
        self._starts: dict[str, asyncio.Lock] = {}

    def watch(self, part: Part) -> None:
        """Keep ``part``, which runs, running."""
        self._starts[part.name] = asyncio.Lock()
        self._watches[part.name] = asyncio.create_task(self._keep(part))

    async def hold(self, part: Part) -> None:
        """Leave ``part`` alone from now on, dead or alive."""
        watch = self._watches.pop(part.name, None)
        if watch is not None:
            async with self._starts[part.name]:
                watch.cancel()
            await asyncio.wait([watch])

    async def close(self, parts: Iterable[Part]) -> None:
        """Watch none of ``parts`` any more; does not end them."""
        for part in parts:
            await self.hold(part)

    async def _keep(self, part: Part) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            since = time.monotonic()
            if part.child is None:
                raise RuntimeError(f"{part.name} was never started")
            status = await part.child.wait()
            if time.monotonic() - since > STEADY_AFTER_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            self._say(f"{part.name} ended ({_reason(status)}); again in {pause:.1f} s")
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            async with self._starts[part.name]:
                try:
                    await part.start()
                except NotReady as trouble:
                    self._say(str(trouble))
            self.restarts[part.name] = self.restarts.get(part.name, 0) + 1


def _reason(status: int) -> str:
    return f"killed by signal {-status}" if status < 0 else f"exit status {status}"
