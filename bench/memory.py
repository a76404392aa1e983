"""``make bench BENCH=--memory``: what connections and large messages cost ingress-smtp in memory."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import stat
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.ours import Posthouse, StoreKind, posthouse
from bench.system import Unfit
from onemachine.ports import LOOPBACK

DOMAIN = "bench.test"
USER = f"u0@{DOMAIN}"
KIB, MIB = 1024, 1024 * 1024
HEADER_OCTETS = 4 * KIB  # a message's limit, less this, is its body
IDLE = 2000  # connections
IDLE_OCTETS = 40 * KIB  # each may take
SESSION_OCTETS = 2 * MIB  # each may take, whatever its message has
ALL_OCTETS = 1024 * MIB  # a hundred of these may take, process and all
# So much in all, of uploads in parts, besides: `posthouse.blobs.s3`.
UPLOAD_OCTETS: dict[StoreKind, int] = {"disk": 0, "s3": 40 * MIB}
WARM_UP = 500  # messages
LOOK_EVERY_SECONDS = 0.2
# As many as are opened here come from one address.
_SETTINGS = {"POSTHOUSE_SESSIONS_MAX": "3000", "POSTHOUSE_SESSIONS_PER_CLIENT_MAX": "3000"}
_NAME = "ingress-smtp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """Sessions that send one large message each, at once.

    Attributes:
        sessions: How many.
        octets: Of each body.
        peak: The most that the process had in memory.
        spool: The most that its files without a name had on disk, as far as was seen.
        seconds: Until the last message was accepted; all were.
    """

    sessions: int
    octets: int
    peak: int
    spool: int
    seconds: float

    def line(self, rest: int) -> str:
        """Tell of it; the process had ``rest`` before."""
        return (
            f"{self.sessions} messages of {self.octets / MIB:.0f} MiB at once, all accepted: "
            f"{self.peak / MIB:.0f} MiB in all, {(self.peak - rest) / self.sessions / MIB:.2f} MiB a "
            f"session, {self.spool / MIB:.0f} MiB of spool, "
            f"{self.sessions * self.octets / self.seconds / 1e6:.0f} MB/s"
        )


async def weigh(say: Callable[[str], None], store: StoreKind) -> int:
    """Measure and tell; return 1 if something takes more than it may, 0 if not.

    Raises:
        Unfit: Mail is refused.
    """
    is_too_much = False
    async with _warm(say, store) as (system, process, rest):
        say(f"{_NAME} at rest: {rest / MIB:.0f} MiB; objects in: {store}")
        for sessions, octets in ((1, 10 * MIB), (20, 10 * MIB), (100, 50 * MIB)):
            crowd = await _crowd(system, process, sessions, octets - HEADER_OCTETS)
            say(crowd.line(rest))
            most = rest + sessions * SESSION_OCTETS + UPLOAD_OCTETS[store]
            is_too_much |= crowd.peak > min(most, ALL_OCTETS)
    async with _warm(say, store) as (system, process, _):  # what it freed would be there for these
        for tls in (None, _trusting()):
            each = await asyncio.to_thread(_idle, system.port, process, tls) // IDLE
            say(f"{IDLE} idle connections{', TLS' if tls else ''}: {each / KIB:.1f} KiB each")
            is_too_much |= each > IDLE_OCTETS
    say(
        f"allowed: {SESSION_OCTETS // MIB} MiB a session and {UPLOAD_OCTETS[store] // MIB} MiB of "
        f"uploads, {ALL_OCTETS // MIB} MiB in all, {IDLE_OCTETS // KIB} KiB an idle connection"
    )
    return int(is_too_much)


@asynccontextmanager
async def _warm(
    say: Callable[[str], None], store: StoreKind
) -> AsyncIterator[tuple[Posthouse, Path, int]]:
    """Run Posthouse; yield it, its ingress-smtp in /proc, and the octets that has in memory."""
    async with posthouse(DOMAIN, [USER], say, _SETTINGS, store=store) as system:
        process = Path("/proc", str(system.processes[_NAME]))
        await _load(system, count=WARM_UP, sessions=20, octets=4 * KIB)
        yield system, process, _resident(process, "VmRSS")


async def _crowd(system: Posthouse, process: Path, sessions: int, octets: int) -> Crowd:
    (process / "clear_refs").write_text("5")  # the peak begins anew, proc(5)
    spool = 0
    async with asyncio.TaskGroup() as tasks:
        load = tasks.create_task(_load(system, count=sessions, sessions=sessions, octets=octets))
        while not load.done():
            spool = max(spool, _nameless(process))
            await asyncio.wait((load,), timeout=LOOK_EVERY_SECONDS)
    return Crowd(
        sessions=sessions,
        octets=octets,
        peak=_resident(process, "VmHWM"),
        spool=spool,
        seconds=load.result(),
    )


def _nameless(process: Path) -> int:
    """Return how large the open files without a name are in all: those of the spool."""
    sizes: dict[int, int] = {}  # by inode: one file may be open twice
    for descriptor in (process / "fd").iterdir():
        with suppress(FileNotFoundError):
            found = os.stat(descriptor)  # noqa: PTH116 - of what the link leads to
            if stat.S_ISREG(found.st_mode) and not found.st_nlink:
                sizes[found.st_ino] = found.st_size
    return sum(sizes.values())


def _resident(process: Path, what: str) -> int:
    """Return the octets in memory (``VmRSS``) or the most there were (``VmHWM``)."""
    lines = (process / "status").read_text().splitlines()
    return next(int(line.split()[1]) * KIB for line in lines if line.startswith(f"{what}:"))


def _idle(port: int, process: Path, tls: ssl.SSLContext | None) -> int:
    """Return the octets that connections take which said EHLO and keep silent."""
    before = _resident(process, "VmRSS")
    with ExitStack() as stack:
        for _ in range(IDLE):
            line = stack.enter_context(socket.create_connection((LOOPBACK, port)))
            _expect(line, None, b"220 ")
            _expect(line, b"EHLO load.invalid\r\n", b"250 ")
            if tls:
                _expect(line, b"STARTTLS\r\n", b"220 ")
                line = stack.enter_context(tls.wrap_socket(line))
                _expect(line, b"EHLO load.invalid\r\n", b"250 ")
        return _resident(process, "VmRSS") - before


def _trusting() -> ssl.SSLContext:
    """Return a client's context that takes any certificate: the one there is made for trying."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _expect(line: socket.socket, command: bytes | None, code: bytes) -> None:
    if command:
        line.sendall(command)
    with line.makefile("rb") as answers:
        while (answer := answers.readline())[3:4] == b"-":
            pass
    if not answer.startswith(code):
        raise Unfit(f"a connection was answered {answer!r}")


async def _load(system: Posthouse, *, count: int, sessions: int, octets: int) -> float:
    """Send ``count`` messages; return the seconds until the last was accepted."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.load", f"--port={system.port}", f"--count={count}",
        f"--sessions={sessions}", f"--octets={octets}", USER, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate()
    load = json.loads(output or b'{"accepted": 0, "refusals": "nothing was said", "seconds": 0}')
    if load["accepted"] != count:
        raise Unfit(f"{load['accepted']} of {count} were accepted: {load['refusals']}")
    return float(load["seconds"])
