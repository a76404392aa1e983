"""Other sessions of the gateway, which ask for next to nothing again and again, and how long they wait.

They have a process of their own: what the bench does with long answers holds up nobody here. One
is in its mailbox, as readers are. The other asks for what only the gateway's event loop is needed
for: how much of its wait the gateway was at work is what one session costs all others. How late a
process was meanwhile that only sleeps is what the machine held up.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TypeAlias

from bench.imap.client import Client
from bench.imap.ours import GATEWAY, Gateway, user

PAUSE_SECONDS = 0.001
_OF_READERS, _OF_THE_LOOP = "FETCH 1 (FLAGS)", "NOOP"
_PROCESSES = multiprocessing.get_context("spawn")

Look: TypeAlias = Callable[[], tuple[float, float]]  # seconds: see `Waits`, the first two


@dataclass(slots=True)
class Waits:
    """How long it was waited during a step, in milliseconds, at most.

    Attributes:
        longest: By a reader.
        own: For the event loop, while the gateway was at work.
        control: By the process that only sleeps, longer than it wanted to.
    """

    longest: float = 0.0
    own: float = 0.0
    control: float = 0.0

    def __str__(self) -> str:
        return f"{self.longest:8.1f} {self.own:8.1f} {self.control:8.1f}"


class Bystander:
    """Two processes that look on while a step runs: the sessions and the sleeper."""

    def __init__(self, system: Gateway) -> None:
        asks = (system.port, user(1), system.password, system.processes[GATEWAY])
        with ExitStack() as stack:
            self._sessions = stack.enter_context(_running(_ask, *asks))
            self._sleeper = stack.enter_context(_running(_sleep))
            self._stack = stack.pop_all()

    def close(self) -> None:
        """End both."""
        self._stack.close()

    @contextmanager
    def watching(self) -> Iterator[Waits]:
        """Look on while inside; what was found is known in the end."""
        found = Waits()
        for pipe in (self._sessions, self._sleeper):
            pipe.send(None)
            pipe.recv()
        try:
            yield found
        finally:
            for pipe in (self._sessions, self._sleeper):
                pipe.send(None)
            found.longest, found.own = self._sessions.recv()
            found.control, _ = self._sleeper.recv()


@contextmanager
def _running(make: Callable[..., Look], *arguments: object) -> Iterator[Connection]:
    """Run `_look_on` in a process while inside."""
    pipe, theirs = _PROCESSES.Pipe()
    process = _PROCESSES.Process(target=_look_on, args=(theirs, make, arguments))
    process.start()
    theirs.close()
    try:
        pipe.recv()
        yield pipe
    finally:
        pipe.close()
        process.join()


def _look_on(pipe: Connection, make: Callable[..., Look], arguments: tuple[object, ...]) -> None:
    """Look again and again between every other word of the pipe, until it is closed."""
    look = make(*arguments)
    pipe.send(None)
    while True:
        try:
            pipe.recv()
        except EOFError:
            return
        waited = worked = 0.0
        pipe.send(None)
        while not pipe.poll(PAUSE_SECONDS):
            one, other = look()
            waited, worked = max(waited, one), max(worked, other)
        pipe.recv()
        pipe.send((waited * 1000, worked * 1000))


def _ask(port: int, name: str, password: str, gateway: int) -> Look:
    """Return what asks the gateway twice, and tells how long that took."""
    reader, other = (Client(port, name, password) for _ in range(2))
    reader.say("SELECT INBOX")
    clock = (~gateway << 3) | 2  # clock_getcpuclockid(3): the processor time of that process

    def look() -> tuple[float, float]:
        began = time.perf_counter()
        reader.say(_OF_READERS)
        waited = time.perf_counter() - began
        began, worked = time.perf_counter(), time.clock_gettime(clock)
        other.say(_OF_THE_LOOP)
        worked = time.clock_gettime(clock) - worked
        return waited, min(time.perf_counter() - began, worked)

    return look


def _sleep() -> Look:
    """Return what sleeps for a moment, and tells how late it woke up."""

    def look() -> tuple[float, float]:
        began = time.perf_counter()
        time.sleep(PAUSE_SECONDS)
        return time.perf_counter() - began - PAUSE_SECONDS, 0.0

    return look
