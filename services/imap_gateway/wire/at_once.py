"""Work that begins at once, and has a task only if it must wait: most commands find all in memory.

A task costs as much as a fifth of such a command, and waits for a turn of the event loop before it
begins. (Python 3.12 can begin tasks so by itself; this is how asyncio lets others do it.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any, NoReturn, cast


def begin(tasks: asyncio.TaskGroup, work: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
    """Do ``work`` until it waits for the first time; return the task that does the rest, if any.

    From within a task nothing is done at once: it would be in the midst of that task's own work.
    """
    loop, forerunner = asyncio.get_running_loop(), _Forerunner()
    if asyncio.current_task(loop) is not None:
        return tasks.create_task(work)
    stand_in = cast("asyncio.Task[None]", forerunner)
    asyncio._enter_task(loop, stand_in)  # noqa: SLF001 - documented (Extending asyncio)
    try:
        awaited = work.send(None)
    except StopIteration:
        return None
    finally:
        asyncio._leave_task(loop, stand_in)  # noqa: SLF001
    forerunner.task = tasks.create_task(_Rest(work, awaited))
    return forerunner.task


class _Forerunner:
    """The current task while there is none: deadlines that are set meanwhile cancel what follows it.

    Attributes:
        task: Does the rest, once there is one.
    """

    __slots__ = ("task",)

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None

    def cancel(self, msg: object = None) -> bool:
        """See `asyncio.Task.cancel`, as all below."""
        return self.task is not None and self.task.cancel(msg)

    def cancelling(self) -> int:
        """Nobody can have asked for it before there was a task."""
        return 0 if self.task is None else self.task.cancelling()

    def uncancel(self) -> int:
        """Likewise."""
        return 0 if self.task is None else self.task.uncancel()

    def done(self) -> bool:
        """Not before it has a task."""
        return self.task is not None and self.task.done()


class _Rest(Coroutine[Any, Any, None]):
    """Work that waits for ``awaited`` already, as its task would have seen it."""

    __slots__ = ("_awaited", "_is_told", "_work")

    def __init__(self, work: Coroutine[Any, Any, None], awaited: object) -> None:
        self._work = work
        self._awaited = awaited
        self._is_told = False

    def send(self, value: object) -> object:
        """Tell first what is awaited, then go on."""
        if not self._is_told:
            self._is_told = True
            return self._awaited
        return self._work.send(value)

    def throw(self, *raised: Any) -> object:  # noqa: ANN401 - as a coroutine has it
        """End the waiting; what a task awaits is cancelled with it, and here it knows of nothing yet."""
        if not self._is_told:
            self._is_told = True
            if isinstance(self._awaited, asyncio.Future):
                self._awaited.cancel()
        return self._work.throw(*raised)

    def close(self) -> None:
        """Give up."""
        self._work.close()

    def __await__(self) -> Generator[Any, Any, NoReturn]:
        """A task drives it: nobody awaits it."""
        raise TypeError("it is driven by a task")
