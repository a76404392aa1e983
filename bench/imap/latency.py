"""From the 250 of SMTP to the EXISTS that an idling reader is told: what users call instant."""

from __future__ import annotations

import asyncio
import smtplib
import time
from statistics import median

from bench.imap.client import Client
from bench.imap.letters import letters
from bench.imap.ours import Gateway, user
from bench.system import Unfit

TIMES = 40
AIM_MS = 30.0
PAUSE_SECONDS = 0.05  # one mail at a time, as people get them
_LINES = 10  # that may be told beside EXISTS


async def measure_latency(gateway: Gateway) -> str:
    """Send mails one by one to a reader who idles; return a line that tells how soon they came."""
    found = sorted(await asyncio.to_thread(_measure, gateway))
    shown = f"median {median(found):.1f} ms, from {found[0]:.1f} to {found[-1]:.1f}"
    return f"SMTP 250 to IDLE EXISTS: {shown} (aim {AIM_MS:.0f})"


def _measure(gateway: Gateway) -> list[float]:
    found = []
    with (
        Client(gateway.port, user(0), gateway.password) as reader,
        smtplib.SMTP("127.0.0.1", gateway.house.port) as sender,
    ):
        reader.say("SELECT INBOX")
        if not reader.begin("IDLE").startswith(b"+"):
            raise Unfit("IDLE was refused")
        for letter in letters(TIMES, seed=3):
            sender.sendmail("sender@load.invalid", [user(0)], letter)
            began = time.perf_counter()
            _hear_exists(reader)
            found.append((time.perf_counter() - began) * 1000)
            time.sleep(PAUSE_SECONDS)
    return found


def _hear_exists(reader: Client) -> None:
    for _ in range(_LINES):
        if b"EXISTS" in reader.next_line():
            return
    raise Unfit("IDLE told of something else")
