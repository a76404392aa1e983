"""Relaying: each system hands all mail on to a smtp-sink of its own, which counts it."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bench.ours import posthouse
from bench.peers import peer
from bench.system import System, Unfit
from onemachine.children import mortal
from onemachine.ports import LOOPBACK, free_ports

DOMAIN = "bench.test"  # of the system itself
ELSEWHERE = "elsewhere.test"
_BACKLOG = "512"
_UNPRIVILEGED = "nobody"
_COUNTER = re.compile(rb"mesg=([0-9]+)")
_LAST_OCTETS = 200  # of its counters, which come with each message


class Sink:
    """A smtp-sink that runs.

    Attributes:
        port: Where it listens on loopback.
        taken: Messages that it has taken.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.taken = 0

    async def watch(self, output: asyncio.StreamReader) -> None:
        """Follow the counters that it writes."""
        last = b""
        while portion := await output.read(65_536):
            last = (last + portion)[-_LAST_OCTETS:]
            if whole := _COUNTER.findall(last[: last.rfind(b"\r")]):
                self.taken = int(whole[-1])


@asynccontextmanager
async def sink() -> AsyncIterator[Sink]:
    """Run a smtp-sink while inside.

    Raises:
        Unfit: It is not installed.
    """
    if shutil.which("smtp-sink") is None:
        raise Unfit("smtp-sink not installed: apt-get install --no-install-recommends postfix")
    (port,) = free_ports(1)
    process = await asyncio.create_subprocess_exec(
        *mortal("smtp-sink", "-c", f"{LOOPBACK}:{port}", _BACKLOG, user=_UNPRIVILEGED),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    this = Sink(port)
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    watching = asyncio.create_task(this.watch(process.stdout))
    try:
        yield this
    finally:
        process.terminate()
        await process.wait()
        await watching


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """A system with the sink it relays to: what that has taken counts as delivered."""

    system: System
    sink: Sink

    @property
    def name(self) -> str:
        """See `System`."""
        return self.system.name

    @property
    def port(self) -> int:
        """See `System`."""
        return self.system.port

    @property
    def processes(self) -> Mapping[str, int]:
        """See `System`."""
        return self.system.processes

    async def delivered(self) -> int:
        """Return how many messages the sink has taken."""
        return self.sink.taken


@asynccontextmanager
async def our_relay(say: Callable[[str], None]) -> AsyncIterator[Relay]:
    """Run Posthouse with a sink behind it."""
    async with sink() as behind, posthouse(DOMAIN, [], say, next_hop=behind.port) as system:
        yield Relay(system=system, sink=behind)


@asynccontextmanager
async def peer_relay(say: Callable[[str], None]) -> AsyncIterator[Relay]:
    """Run Postfix with a sink behind it."""
    async with sink() as behind, peer(DOMAIN, [], say, next_hop=behind.port) as system:
        yield Relay(system=system, sink=behind)


def recipients(count: int) -> Sequence[str]:
    """Return ``count`` addresses elsewhere."""
    return [f"r{number:03}@{ELSEWHERE}" for number in range(count)]
