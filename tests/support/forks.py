"""Services as processes, forked off one that has loaded them: to load one takes a second each time.

That one is the fork server of `multiprocessing`. It ends with us, and what it forked with it, however
we end. That a service starts by itself, too, is shown by journeys and by tests/integration/runtime.
"""

from __future__ import annotations

import asyncio
import ctypes
import multiprocessing
import os
import runpy
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, cast

_SERVICES = (
    "ingress_smtp", "policy_engine", "delivery_remote", "delivery_local", "imap_gateway",
    "pop3_gateway", "postmaster",
)  # fmt: skip
_PR_SET_PDEATHSIG = 1  # prctl(2)

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([f"{each}.service" for each in _SERVICES])


class Forked:
    """One process: as much of `asyncio.subprocess.Process` as tests need.

    Attributes:
        pid: Its number.
    """

    def __init__(self, process: ForkServerProcess) -> None:
        assert process.pid is not None
        self.pid = process.pid
        self._process = process
        self._ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(process.sentinel, self._end)

    @property
    def returncode(self) -> int | None:
        """Its exit code, or the negative number of the signal that ended it; None while it runs."""
        return self._process.exitcode

    async def wait(self) -> int:
        """Wait for its end; return its exit code."""
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.returncode is None:
            with suppress(ProcessLookupError):  # its end is told in a moment
                os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9."""
        self.send_signal(signal.SIGKILL)

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._process.sentinel)
        self._ended.set()


async def start(module: str, environment: Mapping[str, str], log: Path) -> Forked:
    """Do what ``python -m module`` does, with that environment alone; what it says goes to ``log``."""
    process = _context.Process(target=_run, args=(module, dict(environment), str(log)))
    await asyncio.to_thread(process.start)  # the first one waits until all is loaded
    return Forked(process)


def _run(module: str, environment: Mapping[str, str], log: str) -> None:
    _let_go_of_the_server()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    said = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(said, sys.stdout.fileno())
    os.dup2(said, sys.stderr.fileno())
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _let_go_of_the_server() -> None:
    """Close what keeps the fork server alive: each child is given it, to have children of its own."""
    server = cast("Any", forkserver._forkserver)
    os.close(server._forkserver_alive_fd)
    server._forkserver_alive_fd = None
