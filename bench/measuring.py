"""One run: send, wait until all lies in mailboxes, and see what it cost."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench import processor
from bench.system import System, Unfit

LOOK_EVERY_SECONDS = 0.05
WITHIN_SECONDS = 120.0
QUIET_SHARE = 0.1  # of the machine: less work than this counts as quiet
QUIET_WITHIN_SECONDS = 20.0
_WINDOW_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What is sent in one run.

    Attributes:
        name: How the table calls it.
        count: Messages.
        sessions: Connections at once.
        octets: Of each body.
        reuse: Many messages per connection instead of one.
    """

    name: str
    count: int
    sessions: int = 20
    octets: int = 4096
    reuse: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run brought.

    Attributes:
        system: Which system.
        course: What was sent.
        count: Messages, all accepted and all found in mailboxes.
        octets: Of each body.
        accepted_per_second: From the first connect to the last 250.
        delivered_per_second: From the first connect until all lay in mailboxes.
        processor_ms: Per mail, by process tree.
        client_ms: Per mail, of the load generator.
        others_share: Of the machine, used by what belongs to neither.
        calibration_ms: How fast a core was, see `processor.calibration`.
    """

    system: str
    course: str
    count: int
    octets: int
    accepted_per_second: float
    delivered_per_second: float
    processor_ms: Mapping[str, float]
    client_ms: float
    others_share: float
    calibration_ms: float

    @property
    def total_ms(self) -> float:
        """Processor milliseconds per mail of the whole system."""
        return sum(self.processor_ms.values())


async def measure(system: System, course: Course, recipients: Sequence[str]) -> Run:
    """Send a course through a system.

    Raises:
        Unfit: If it refuses mail, or loses it.
    """
    await _quiet()
    calibration = processor.calibration()
    before, busy = processor.used(system.processes), processor.busy()
    there = await system.delivered()
    began = time.perf_counter()
    sending = asyncio.create_task(_send(system.port, course, recipients))
    try:
        took = await _all_there(system, there + course.count, began, sending)
        load = await sending
    finally:
        sending.cancel()
    spent = {name: s - before[name] for name, s in processor.used(system.processes).items()}
    cores = processor.cores()
    ours = sum(spent.values()) + load["processor_seconds"]
    return Run(
        system=system.name,
        course=course.name,
        count=course.count,
        octets=course.octets,
        accepted_per_second=round(course.count / load["seconds"], 1),
        delivered_per_second=round(course.count / took, 1),
        processor_ms={name: _per_mail(seconds, course) for name, seconds in spent.items()},
        client_ms=_per_mail(load["processor_seconds"], course),
        others_share=round(max(0.0, processor.busy() - busy - ours) / took / cores, 3),
        calibration_ms=calibration,
    )


def _per_mail(seconds: float, course: Course) -> float:
    return round(seconds * 1000 / course.count, 3)


async def _all_there(
    system: System, wanted: int, began: float, sending: asyncio.Task[dict[str, Any]]
) -> float:
    """Return the seconds until ``wanted`` messages are in mailboxes."""
    while (found := await system.delivered()) < wanted:
        if sending.done() and sending.exception() is not None:
            await sending
        if time.perf_counter() - began > WITHIN_SECONDS:
            raise Unfit(f"{system.name}: {wanted - found} messages did not arrive in time")
        await asyncio.sleep(LOOK_EVERY_SECONDS)
    took = time.perf_counter() - began
    if found > wanted:
        raise Unfit(f"{system.name}: {found - wanted} messages too many")
    return took


async def _send(port: int, course: Course, recipients: Sequence[str]) -> dict[str, Any]:
    arguments = [f"--port={port}", f"--count={course.count}", f"--sessions={course.sessions}"]
    arguments += [f"--octets={course.octets}", *(["--reuse"] if course.reuse else [])]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.load", *arguments, *recipients, stdout=asyncio.subprocess.PIPE
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    if not output:
        raise Unfit(f"the load generator ended with {process.returncode} and said nothing")
    load: dict[str, Any] = json.loads(output)
    if load["refused"]:
        raise Unfit(f"{load['refused']} messages were refused: {load['refusals']}")
    return load


async def _quiet() -> None:
    """Wait until nothing else uses the machine, but not for ever."""
    until = time.monotonic() + QUIET_WITHIN_SECONDS
    while time.monotonic() < until:
        before = processor.busy()
        await asyncio.sleep(_WINDOW_SECONDS)
        if (processor.busy() - before) / _WINDOW_SECONDS / processor.cores() < QUIET_SHARE:
            return
