"""What the bench relays to: it takes mail, and is gone when the bench is, however that ends."""

from __future__ import annotations

import asyncio
import os
import signal
import smtplib
import socket
import subprocess
import sys

import pytest

from bench.relaying import sink
from onemachine.ports import LOOPBACK
from support.stack import eventually

pytestmark = pytest.mark.integration

_BENCH = """
import asyncio, os, signal
from bench.relaying import sink

async def main():
    async with sink() as behind:
        for _ in range(500):
            try:
                await asyncio.open_connection("127.0.0.1", behind.port)
                break
            except OSError:
                await asyncio.sleep(0.02)
        else:
            raise SystemExit("it does not listen")
        print(behind.port, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def _listens(port: int) -> bool:
    with socket.socket() as line:
        return line.connect_ex((LOOPBACK, port)) == 0


def test_a_sink_does_not_outlive_a_killed_bench() -> None:
    env = dict(os.environ) | {"PYTHONPATH": os.pathsep.join(sys.path)}

    told = subprocess.run(
        [sys.executable, "-c", _BENCH], env=env, capture_output=True, text=True, check=False
    )

    assert told.returncode == -signal.SIGKILL, told.stderr
    eventually(lambda: _listens(int(told.stdout)), lambda listens: not listens, within=10)


async def test_a_sink_counts_what_it_takes_and_ends_with_its_block() -> None:
    async with sink() as behind, asyncio.timeout(20):
        while not _listens(behind.port):  # noqa: ASYNC110 - a process tells nobody
            await asyncio.sleep(0.02)
        with smtplib.SMTP(LOOPBACK, behind.port) as client:
            for _ in range(3):
                client.sendmail("anna@bench.test", ["bert@elsewhere.test"], "Subject: x\n\nx\n")
        while behind.taken < 3:  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0.02)

    assert behind.taken == 3
    assert not _listens(behind.port)
