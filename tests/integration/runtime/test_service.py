"""A service as a process: its start, its signals, its end."""

import asyncio
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from onemachine.services import inherited_environment

pytestmark = pytest.mark.integration

EVENT_SECONDS = 20.0
SETTINGS = {
    "POSTHOUSE_DATABASE_URL": "postgresql://post:hunter2@127.0.0.1:1/post",
    "POSTHOUSE_BROKER_URL": "amqp://post:hunter2@127.0.0.1:1/",
    "POSTHOUSE_STORE": "disk:/nowhere",
    "POSTHOUSE_HOSTNAME": "mx.example.test",
}
QUIET = """
    await lifecycle.stopping.wait()
    log.info("main returns")
"""
COLLECTING = """
    import gc
    log.info("counted", looked_at=len(gc.get_objects()), left_alone=gc.get_freeze_count())
    await lifecycle.stopping.wait()
"""
DYING_DUTY = """
    async def die():
        raise ValueError("a bug in a duty")
    lifecycle.tasks.create_task(die())
    await asyncio.Event().wait()
"""
ENDLESS_DUTY = """
    async def forever():
        try:
            await asyncio.Event().wait()
        finally:
            log.info("duty ended")
    lifecycle.tasks.create_task(forever())
    await lifecycle.stopping.wait()
"""
STUBBORN = """
    await lifecycle.stopping.wait()
    await asyncio.Event().wait()
"""
DUTIES = """
    async def forever():
        try:
            await asyncio.Event().wait()
        finally:
            log.info("duty ended")
    await lifecycle.until_stopped(forever(), forever())
"""
WAITING = """
    await lifecycle.unless_stopped(asyncio.Event().wait())
"""
RELOADING = """
    lifecycle.on_reload(lambda: log.info("hook called"))
    await lifecycle.stopping.wait()
"""
PROGRAM = """
import asyncio
from posthouse.runtime.service import run
from posthouse.runtime.settings import CommonSettings, load
from posthouse.telemetry.logs import get_logger
log = get_logger()
async def main(lifecycle):
    log.info("main began")
{body}
run("test-service", load(CommonSettings), main)
"""


class Service:
    """A running process and what it has written."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[dict[str, object]] = []

    async def until(self, event: str) -> dict[str, object]:
        """Return the line of ``event`` as soon as it is written."""
        assert self.process.stdout is not None
        async with asyncio.timeout(EVENT_SECONDS):
            while line := await self.process.stdout.readline():
                self.lines.append(json.loads(line))
                if self.lines[-1]["event"] == event:
                    return self.lines[-1]
        pytest.fail(f"{event!r} is not among {[line['event'] for line in self.lines]}")

    async def end(self) -> int:
        """Return the exit code."""
        async with asyncio.timeout(EVENT_SECONDS):
            out, _ = await self.process.communicate()
            self.lines += [json.loads(line) for line in out.splitlines()]
            return await self.process.wait()


@asynccontextmanager
async def started(body: str, begin: str = "", **settings: str) -> AsyncIterator[Service]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        begin + PROGRAM.format(body=body),
        stdout=asyncio.subprocess.PIPE,
        env=inherited_environment() | SETTINGS | settings,
    )
    try:
        yield Service(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_in_order_with_code_zero(number: signal.Signals) -> None:
    async with started(QUIET) as service:
        await service.until("main began")

        service.process.send_signal(number)

        assert await service.end() == 0
    events = [line["event"] for line in service.lines]
    assert events[-3:] == ["stop asked for", "main returns", "service stopped"]


async def test_a_second_signal_ends_at_once() -> None:
    async with started(STUBBORN) as service:
        await service.until("main began")
        service.process.terminate()
        await service.until("stop asked for")

        service.process.terminate()

        assert await service.end() == 130


async def test_the_collector_leaves_alone_what_the_modules_made() -> None:
    async with started(COLLECTING) as service:
        counted = await service.until("counted")

    looked_at, left_alone = counted["looked_at"], counted["left_alone"]
    assert isinstance(looked_at, int)
    assert isinstance(left_alone, int)
    assert left_alone > 20 * looked_at


async def test_a_dying_duty_ends_the_service_and_is_logged() -> None:
    async with started(DYING_DUTY) as service:
        assert await service.end() == 1
    assert service.lines[-1]["event"] == "service failed"
    assert "a bug in a duty" in str(service.lines[-1]["exception"])


@pytest.mark.parametrize("body", [ENDLESS_DUTY, DUTIES])
async def test_duties_are_cancelled_when_the_service_stops(body: str) -> None:
    async with started(body) as service:
        await service.until("main began")

        service.process.terminate()

        assert await service.end() == 0
    assert "duty ended" in [line["event"] for line in service.lines]


async def test_a_service_that_still_waits_for_its_needs_stops_at_once() -> None:
    async with started(WAITING) as service:
        await service.until("main began")

        service.process.terminate()

        assert await service.end() == 0
    assert service.lines[-1]["event"] == "service stopped"


async def test_what_does_not_end_in_time_is_ended_and_said_to_be() -> None:
    begin = "from posthouse.runtime import service; service.CLOSING *= 0\n"
    async with started(STUBBORN, begin, POSTHOUSE_GRACE_SECONDS="0.2") as service:
        await service.until("main began")

        service.process.terminate()

        assert await service.end() == 1
    assert "TimeoutError" in str(service.lines[-1]["exception"])


async def test_a_hangup_reloads() -> None:
    async with started(RELOADING) as service:
        await service.until("main began")
        service.process.send_signal(signal.SIGHUP)
        await service.until("hook called")
        service.process.terminate()
        assert await service.end() == 0


async def test_secrets_do_not_reach_the_log() -> None:
    async with started(QUIET) as service:
        await service.until("main began")
        service.process.terminate()
        await service.end()
    assert "hunter2" not in json.dumps(service.lines)
    assert service.lines[0]["event"] == "service started"


async def test_bad_settings_end_with_their_own_code() -> None:
    async with started(QUIET, POSTHOUSE_HEALTH_PORT="http") as service:
        assert await service.end() == 78


async def test_the_probes_answer() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with (
        started(QUIET, POSTHOUSE_HEALTH_PORT=str(port)) as service,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        await service.until("main began")
        answers = {path: await client.get(path) for path in ("/healthz", "/readyz", "/metrics")}
    assert {path: answer.status_code for path, answer in answers.items()} == dict.fromkeys(
        answers, 200
    )
    assert "process_cpu_seconds_total" in answers["/metrics"].text


async def test_a_taken_port_ends_with_a_clear_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with started(QUIET, POSTHOUSE_HEALTH_PORT=str(port)) as service:
            assert await service.end() == 1
    assert "address already in use" in str(service.lines[-1]["exception"])
