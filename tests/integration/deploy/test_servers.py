"""The private servers: they start, survive kill -9, stop, and never outlive their parent."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import aio_pika
import asyncpg
import pytest

from onemachine.children import Child, Command, Registry, spawn
from onemachine.ports import free_ports, is_free
from onemachine.postgres import Postgres
from onemachine.rabbitmq import RabbitMQ, RabbitPorts
from onemachine.ready import NotReady, wait_ready
from onemachine.status import processes
from onemachine.supervisor import Supervisor
from support.stack import eventually


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path)


def _sleeper(name: str = "sleeper") -> Command:
    return Command(name=name, argv=["sleep", "600"], env={"PATH": os.environ["PATH"]})


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_a_child_that_does_not_stop_is_ended(registry: Registry) -> None:
    stubborn = Command(
        name="stubborn",
        argv=["sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done"],
        env={"PATH": os.environ["PATH"]},
    )
    child = await spawn(stubborn, registry)

    async def trapped() -> str | None:
        log = registry.logs / "stubborn.log"
        return None if "up" in log.read_text() else "not yet"

    await wait_ready(child, registry, trapped)
    await child.stop(patience=0.2)

    assert child.process.returncode == -signal.SIGKILL


async def test_who_yields_waits_behind_the_others(registry: Registry) -> None:
    patient = Command(
        name="patient", argv=["sleep", "60"], env={"PATH": "/usr/bin:/bin"}, yields=True
    )
    child, other = await spawn(patient, registry), await spawn(_sleeper(), registry)
    try:
        pids = child.process.pid, other.process.pid
        ours = os.nice(0)
        assert [os.getpriority(os.PRIO_PROCESS, pid) for pid in pids] == [max(5, ours), ours]
        groups = [Path(f"/proc/{pid}/autogroup") for pid in pids]
        if groups[0].exists():  # the kernel shares cores by session
            assert [group.read_text().split()[-1] for group in groups] == ["5", "0"]
    finally:
        await child.stop(patience=5)
        await other.stop(patience=5)


async def test_what_never_gets_ready_is_told_with_its_last_words(registry: Registry) -> None:
    command = Command(name="talker", argv=["sh", "-c", "echo no such road >&2; exit 3"], env={})
    child = await spawn(command, registry)

    async def never() -> str | None:
        return "not yet"

    with pytest.raises(NotReady, match="no such road"):
        await wait_ready(child, registry, never)
    await child.wait()


async def test_leftovers_are_ended_and_strangers_are_left_alone(
    registry: Registry, tmp_path: Path
) -> None:
    ours, theirs = await spawn(_sleeper(), registry), await spawn(_sleeper("theirs"), registry)
    file = tmp_path / "children.json"
    # The number of "theirs" now means another process, started at another time.
    started = file.read_text().rpartition('"started": ')[2].partition(",")[0]
    file.write_text(
        file.read_text().replace(
            f'"started": {started}, "signal": 15}}]', '"started": 1, "signal": 15}]'
        )
    )

    ended, status = await asyncio.gather(Registry(tmp_path).end_leftovers(), ours.wait())

    assert ended == ["sleeper"]
    assert status == -signal.SIGTERM
    assert theirs.alive
    await theirs.stop()


def test_children_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    script = (
        "import asyncio, os, pathlib, signal\n"
        "from onemachine.children import Command, Registry, spawn\n"
        "async def main():\n"
        f"    registry = Registry(pathlib.Path({str(tmp_path)!r}))\n"
        "    command = Command(name='child', argv=['sleep', '600'], env=dict(os.environ))\n"
        "    pid = (await spawn(command, registry)).process.pid\n"
        "    while not pathlib.Path(f'/proc/{pid}/cmdline').read_bytes().startswith(b'sleep'):\n"
        "        pass\n"  # its parent's death is its signal from the moment that setpriv has made way
        "    print(pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    env = dict(os.environ) | {"PYTHONPATH": os.pathsep.join(sys.path)}

    told = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, check=False
    )

    eventually(lambda: _runs(int(told.stdout)), lambda alive: not alive, within=10)


def test_who_was_started_with_less_of_the_cores_gives_that_to_all(tmp_path: Path) -> None:
    script = (
        "import asyncio, os, pathlib\n"
        "from onemachine.children import Command, Registry, spawn\n"
        "async def main():\n"
        f"    registry = Registry(pathlib.Path({str(tmp_path)!r}))\n"
        "    os.nice(15 - os.nice(0))\n"
        "    for n in range(4):\n"  # the kernel takes few wishes of a session from who is not root
        "        command = Command(name=f'c{n}', argv=['sleep', '600'], env=dict(os.environ), yields=True)\n"
        "        child = await spawn(command, registry)\n"
        "        print(os.getpriority(os.PRIO_PROCESS, child.process.pid))\n"
        "        await child.stop(patience=5)\n"
        "asyncio.run(main())\n"
    )
    env = dict(os.environ) | {"PYTHONPATH": os.pathsep.join(sys.path)}
    nobody = ["setpriv", "--bounding-set=-sys_nice,-sys_admin"] if os.geteuid() == 0 else []

    told = subprocess.run(
        [*nobody, sys.executable, "-c", script],
        env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert told.stdout.split() == ["15"] * 4, told.stderr


class _Sleeper:
    """A part that sleeps."""

    def __init__(self, registry: Registry) -> None:
        self.name = "sleeper"
        self.child: Child | None = None
        self.started_again = asyncio.Event()
        self._registry = registry

    async def start(self) -> None:
        again = self.child is not None
        self.child = await spawn(_sleeper(), self._registry)
        if again:
            self.started_again.set()

    async def stop(self) -> None:
        assert self.child
        await self.child.stop()


async def test_what_dies_is_started_again_unless_it_is_held(registry: Registry) -> None:
    said: list[str] = []
    part, supervisor = _Sleeper(registry), Supervisor(said.append)
    await part.start()
    supervisor.watch(part)
    first = part.child
    assert first
    assert f"sleeper              {first.process.pid}" in processes([part])

    first.kill()
    async with asyncio.timeout(20):
        await part.started_again.wait()
    await supervisor.hold(part)
    await part.stop()

    assert said == ["sleeper ended (killed by signal 9); again in 0.5 s"]
    assert part.child is not first


@pytest.fixture
def postgres(registry: Registry) -> Iterator[Postgres]:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to others
        home = Path(folder)
        home.chmod(0o755)
        yield Postgres(home=home / "pg", port=free_ports(1)[0], password="x" * 8, registry=registry)


@pytest.mark.integration
async def test_postgresql_keeps_what_was_committed_through_kill_9(postgres: Postgres) -> None:
    await postgres.start()
    await postgres.create_database("posthouse")
    connection = await asyncpg.connect(postgres.url("posthouse"))
    await connection.execute("create table kept as select 1 as one")

    assert postgres.child
    postgres.child.kill()
    await postgres.child.wait()
    connection.terminate()
    await postgres.start()
    connection = await asyncpg.connect(postgres.url("posthouse"))

    assert await connection.fetchval("select one from kept") == 1
    await connection.close()
    await postgres.stop()


@pytest.mark.integration
async def test_rabbitmq_without_its_management_takes_connections_and_stops_soon(
    registry: Registry, tmp_path: Path
) -> None:
    amqp, management, distribution, epmd = free_ports(4)
    ports = RabbitPorts(amqp=amqp, management=management, distribution=distribution, epmd=epmd)
    server = RabbitMQ(home=tmp_path / "rabbit", ports=ports, password="x" * 8, registry=registry)

    await server.start()
    connection = await aio_pika.connect(server.url)
    await connection.close()
    began = time.monotonic()
    await server.stop()

    assert time.monotonic() - began < 5.0  # the agent of the management plugin alone takes 5 s
    assert is_free(management)
