"""``make bench BENCH=--memory``: what connections and large messages cost ingress-smtp in memory."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from bench.ours import Posthouse, posthouse
from bench.system import Unfit
from onemachine.ports import LOOPBACK

DOMAIN = "bench.test"
USER = f"u0@{DOMAIN}"
KIB, MIB = 1024, 1024 * 1024
IDLE = 2000  # connections
IDLE_OCTETS = 40 * KIB  # each may take
SESSIONS = 100  # with a large message each, at once
LARGE_OCTETS = 50 * MIB - 4 * KIB  # the limit of a message, less a header
ALL_OCTETS = 1024 * MIB  # these may take, process and all
WARM_UP = 500  # messages
# As many as are opened here come from one address.
_SETTINGS = {"POSTHOUSE_SESSIONS_MAX": "3000", "POSTHOUSE_SESSIONS_PER_CLIENT_MAX": "3000"}
_NAME = "ingress-smtp"


async def weigh(say: Callable[[str], None]) -> int:
    """Measure and tell; return 1 if something takes more than it may, 0 if not.

    Raises:
        Unfit: Mail is refused.
    """
    async with posthouse(DOMAIN, [USER], say, _SETTINGS) as system:
        process = Path("/proc", str(system.processes[_NAME]))
        await _load(system, count=WARM_UP, sessions=20, octets=4 * KIB)
        rest = _resident(process, "VmRSS")
        idle = await asyncio.to_thread(_idle, system.port, process) // IDLE
        (process / "clear_refs").write_text("5")  # the peak begins anew, proc(5)
        seconds = await _load(system, count=SESSIONS, sessions=SESSIONS, octets=LARGE_OCTETS)
        peak = _resident(process, "VmHWM")
    say(f"{_NAME} at rest: {rest / MIB:.0f} MiB")
    say(f"{IDLE} idle connections: {idle / KIB:.1f} KiB each (at most {IDLE_OCTETS // KIB})")
    say(
        f"{SESSIONS} messages of {LARGE_OCTETS / MIB:.0f} MiB at once: {peak / MIB:.0f} MiB in all "
        f"(at most {ALL_OCTETS // MIB}), {(peak - rest) / SESSIONS / MIB:.2f} MiB a session, "
        f"{SESSIONS * LARGE_OCTETS / seconds / 1e6:.0f} MB/s"
    )
    return int(idle > IDLE_OCTETS or peak > ALL_OCTETS)


def _resident(process: Path, what: str) -> int:
    """Return the octets in memory (``VmRSS``) or the most there were (``VmHWM``)."""
    lines = (process / "status").read_text().splitlines()
    return next(int(line.split()[1]) * KIB for line in lines if line.startswith(f"{what}:"))


def _idle(port: int, process: Path) -> int:
    """Return the octets that connections take which said EHLO and keep silent."""
    before = _resident(process, "VmRSS")
    with ExitStack() as stack:
        for _ in range(IDLE):
            line = stack.enter_context(socket.create_connection((LOOPBACK, port)))
            answers = stack.enter_context(line.makefile("rb"))
            _expect(answers.readline(), b"220 ")
            line.sendall(b"EHLO load.invalid\r\n")
            while (answer := answers.readline())[3:4] == b"-":
                pass
            _expect(answer, b"250 ")
        return _resident(process, "VmRSS") - before


def _expect(answer: bytes, code: bytes) -> None:
    if not answer.startswith(code):
        raise Unfit(f"a connection was answered {answer!r}")


async def _load(system: Posthouse, *, count: int, sessions: int, octets: int) -> float:
    """Send ``count`` messages; return the seconds until the last was accepted."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.load", f"--port={system.port}", f"--count={count}",
        f"--sessions={sessions}", f"--octets={octets}", USER, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate()
    load = json.loads(output or b'{"refused": 1, "refusals": "nothing was said", "seconds": 0}')
    if load["refused"]:
        raise Unfit(f"messages were refused: {load['refusals']}")
    return float(load["seconds"])
