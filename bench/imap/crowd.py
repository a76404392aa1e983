"""``make bench BENCH="--imap --idle 5000"``: what readers who idle take of one gateway process."""

from __future__ import annotations

import asyncio
import resource
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from bench import processor
from bench.imap.client import Client
from bench.imap.letters import letters
from bench.imap.ours import GATEWAY, Gateway, gateway, user
from bench.system import Unfit
from onemachine.ports import LOOPBACK

KIB = 1024
USERS = 100
MESSAGES = 200  # in each mailbox
AIMS = {"plain": 4.0, "TLS": 27.0}  # KiB per connection
WARM_UP = 50
HOLD_SECONDS = 5.0
_LOGIN = b'a LOGIN "%b" "%b"\r\nb SELECT INBOX\r\nc IDLE\r\n'


async def weigh(say: Callable[[str], None], count: int) -> int:
    """Open ``count`` connections, in plain text and by TLS; return 1 if they take too much."""
    _allow_files(count)
    is_heavy = False
    async with gateway(USERS, say) as system:
        await asyncio.to_thread(_fill, system)
        for kind, aim in AIMS.items():
            await system.renew()
            kib = await asyncio.to_thread(_weigh, system, count, kind, say)
            say(f"{count} idle connections, {kind}: {kib:.1f} KiB each (aim {aim:.0f})")
            is_heavy = is_heavy or kib > aim
    return int(is_heavy)


def _allow_files(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count + 100:
        raise Unfit(f"{hard} open files are allowed, {count} connections need more: ulimit -n")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + 100), hard))


def _fill(system: Gateway) -> None:
    messages = letters(MESSAGES, seed=7)
    for n in range(USERS):
        with Client(system.port, user(n), system.password) as client:
            client.fill("INBOX", messages)


def _weigh(system: Gateway, count: int, kind: str, say: Callable[[str], None]) -> float:
    """Return the KiB that each connection takes, once all of them idle."""
    process = Path("/proc", str(system.processes[GATEWAY]))
    with ExitStack() as stack:
        for n in range(WARM_UP):
            stack.enter_context(_idle(system, n, kind))
        before = _resident(process)
        began = time.perf_counter()
        for n in range(WARM_UP, count):
            stack.enter_context(_idle(system, n, kind))
        say(f"{kind}: opened in {time.perf_counter() - began:.0f} s")
        spent = processor.used_exactly(system.processes)
        time.sleep(HOLD_SECONDS)
        spent = processor.used_exactly(system.processes) - spent
        say(f"{kind}: {spent / HOLD_SECONDS:.1%} of a core while nothing happens")
        return (_resident(process) - before) / KIB / (count - WARM_UP)


def _idle(system: Gateway, n: int, kind: str) -> socket.socket:
    """Return a connection that has a mailbox open, and idles."""
    line = socket.create_connection((LOOPBACK, _port(system, kind)))
    if kind == "TLS":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        line = context.wrap_socket(line)
    line.sendall(_LOGIN % (user(n % USERS).encode(), system.password.encode()))
    heard = b""
    while b"\r\n+ " not in heard:
        octets = line.recv(KIB)
        if not octets or b"\r\na NO" in heard:
            raise Unfit(f"a connection was ended after {heard[-200:]!r}")
        heard += octets
    return line


def _port(system: Gateway, kind: str) -> int:
    return system.tls_port if kind == "TLS" else system.port


def _resident(process: Path) -> int:
    lines = (process / "status").read_text().splitlines()
    return next(int(line.split()[1]) * KIB for line in lines if line.startswith("VmRSS:"))
