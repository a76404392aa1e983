"""The table of ``make bench BENCH=--imap``: every row on every system in turn, medians at the end."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from typing import Protocol

from rich.console import Console
from rich.table import Table

from bench.imap.dovecot import dovecot
from bench.imap.latency import measure_latency
from bench.imap.ours import gateway, user
from bench.imap.rows import AIMS, FIRST_SEARCHES
from bench.ours import StoreKind
from bench.system import Unfit

MESSAGES = 10_000
RESULTS = Path("var/bench-imap.jsonl")


class Server(Protocol):
    """An IMAP server that runs."""

    @property
    def name(self) -> str:
        """How the table calls it."""

    @property
    def port(self) -> int:
        """Where it listens."""

    @property
    def password(self) -> str:
        """Of all users."""

    @property
    def processes(self) -> Mapping[str, int]:
        """The roots of its process trees."""

    async def renew(self) -> None:
        """Forget what is in memory."""

    async def rest(self) -> None:
        """Return when nothing is done any more that the rows before have begun."""


class Results:
    """What was measured, by system and row: waiting and processor milliseconds."""

    def __init__(self) -> None:
        self.waited: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.worked: dict[tuple[str, str], list[float]] = defaultdict(list)

    def add(self, system: str, line: bytes) -> None:
        """Take a line that `bench.imap.rows` has printed, and keep it in a file too."""
        row = json.loads(line)
        self.waited[system, row["row"]].append(row["seconds"] * 1000)
        self.worked[system, row["row"]].append(row["processor"] * 1000)
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        with RESULTS.open("a") as lines:
            lines.write(json.dumps({"system": system} | row) + "\n")

    def sums(self, system: str) -> tuple[float, float]:
        """Return the medians of all rows with an aim together."""
        waited = sum(median(found) for row in AIMS if (found := self.waited[system, row]))
        worked = sum(median(found) for row in AIMS if (found := self.worked[system, row]))
        return waited, worked


async def compare(
    say: Callable[[str], None], rounds: int, *, alone: bool, store: StoreKind
) -> Results:
    """Fill a mailbox of each system, then measure all of them ``rounds`` times in turn.

    Systems are started anew for the rows called first only: the others' medians are of readers who
    come again.
    """
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(gateway(1, say, store))
        servers: list[Server] = [ours]
        if not alone:
            servers.append(await stack.enter_async_context(dovecot("maildir", say)))
            servers.append(await stack.enter_async_context(dovecot("sdbox", say)))
        results = Results()
        for server in servers:
            say(f"{server.name}: {MESSAGES} messages")
            await _measure(server, results, f"--fill={MESSAGES}")
        for turn in range(rounds):
            for server in servers:
                await server.renew()
                await _measure(server, results, "--first", f"--round={turn}")
        say("what the first searches began comes to its end")
        await asyncio.gather(*(server.rest() for server in servers))
        for turn in range(rounds):
            for server in servers:
                await _measure(server, results, f"--round={turn}")
                await server.rest()  # what we do behind the answers is not to disturb the others
                say(f"round {turn + 1}, {server.name}")
        say(await measure_latency(ours))
        return results


async def _measure(server: Server, results: Results, *arguments: str) -> None:
    roots = [f"{name}={pid}" for name, pid in server.processes.items()]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.imap.rows", f"--port={server.port}", f"--user={user(0)}",
        f"--password={server.password}", *arguments, *roots, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate()
    if process.returncode:
        raise Unfit(f"{server.name}: the client ended with {process.returncode}")
    for line in output.splitlines():
        results.add(server.name, line)


def show(results: Results, console: Console) -> None:
    """Print the medians: milliseconds that a client waits, and what the server works meanwhile."""
    systems = list(dict.fromkeys(system for system, _ in results.waited))
    table = Table(
        title=f"{MESSAGES} messages: ms waited (ms of processor)", box=None, header_style="bold"
    )
    table.add_column("row")
    for heading in ("aim", *systems):
        table.add_column(heading, justify="right")
    for row, aim in AIMS.items():
        table.add_row(row, f"{aim:.0f}", *(_cell(results, system, row) for system in systems))
    sums = (f"{waited:.0f} ({worked:.0f})" for waited, worked in map(results.sums, systems))
    table.add_row("all of these rows", "", *sums, style="bold")
    for row in FIRST_SEARCHES:
        table.add_row(row, "", *(_cell(results, system, row) for system in systems))
    console.print(table)


def _cell(results: Results, system: str, row: str) -> str:
    waited, worked = results.waited[system, row], results.worked[system, row]
    if not waited:
        return ""
    is_late = system.startswith("Posthouse") and median(waited) > AIMS.get(row, float("inf"))
    shown = f"{median(waited):.1f} ({median(worked):.1f})"
    return f"[red]{shown}[/red]" if is_late else shown


def missed(results: Results) -> Sequence[str]:
    """Return the rows in which we are slower than their aims."""
    return [
        row
        for (system, row), found in results.waited.items()
        if system.startswith("Posthouse") and found and median(found) > AIMS.get(row, float("inf"))
    ]
