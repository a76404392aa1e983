"""A private PostgreSQL, driven through its own programs in a folder of its own.

PostgreSQL refuses to run as root, so root starts it with the rights of the user ``postgres`` that
Debian's package made. That user must reach the folder; where it cannot (a clone below /root), the
data goes to /var/lib/posthouse instead.
"""

import asyncio
import hashlib
import os
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from onemachine.children import Child, Command, Registry, run, spawn
from onemachine.ports import LOOPBACK
from onemachine.ready import NotReady, wait_ready

_USER = "postgres"
_FOREIGN_HOME = Path("/var/lib/posthouse")
_BEHIND_A_KILL_SECONDS = 60.0  # the backends of a killed server hold its memory for a while
_HELD_BY_THE_DEAD = "shared memory block"
_SETTINGS = (
    f"listen_addresses={LOOPBACK}",
    "unix_socket_directories=",
    "max_connections=300",
    "shared_buffers=128MB",
    "log_min_messages=warning",
)


@dataclass(kw_only=True)
class Postgres:
    """One server; its data stays in ``home`` from run to run.

    Attributes:
        home: Its folder, ours alone.
        port: Where it listens on loopback.
        password: Of the superuser ``postgres``; set when the data folder is made.
        settings: Further ``name=value`` settings of the server.
    """

    home: Path
    port: int
    password: str
    registry: Registry
    settings: Sequence[str] = ()
    name: str = "postgresql"
    child: Child | None = field(default=None, init=False)

    def url(self, database: str = "postgres") -> str:
        """Return the address of ``database``, password included."""
        return f"postgresql://{_USER}:{self.password}@{LOOPBACK}:{self.port}/{database}"

    async def start(self) -> None:
        """Start it, making its data folder first where there is none; wait until it answers."""
        user = _USER if os.geteuid() == 0 else None
        await asyncio.to_thread(self._prepare, user)
        data = self.home / "data"
        if not (data / "PG_VERSION").exists():
            await self._initialize(data, user)
        argv = [_program("postgres"), "-D", str(data), "-p", str(self.port)]
        for setting in (*_SETTINGS, *self.settings):
            argv += ["-c", setting]
        command = Command(
            name=self.name, argv=argv, env=_environment(), stop=signal.SIGINT, user=user
        )
        loop = asyncio.get_running_loop()
        until = loop.time() + _BEHIND_A_KILL_SECONDS
        while True:
            self.child = await spawn(command, self.registry)
            try:
                return await wait_ready(self.child, self.registry, self._question)
            except NotReady as trouble:
                await self.stop()
                if _HELD_BY_THE_DEAD not in str(trouble) or loop.time() > until:
                    raise
                await asyncio.sleep(1.0)

    async def stop(self) -> None:
        """End it in good order: transactions are rolled back, data is on disk."""
        if self.child is not None:
            await self.child.stop()

    async def create_database(self, name: str) -> None:
        """Make the database ``name`` unless it is there."""
        connection = await asyncpg.connect(self.url())
        try:
            if not await connection.fetchval("select 1 from pg_database where datname = $1", name):
                await connection.execute(f"create database {name}")
        finally:
            await connection.close()

    def _prepare(self, user: str | None) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        if user is not None:
            shutil.chown(self.home, user, user)

    async def _initialize(self, data: Path, user: str | None) -> None:
        secret = self.home / "password"
        secret.touch(mode=0o600)
        secret.write_text(self.password)
        if user is not None:
            shutil.chown(secret, user, user)
        argv = [_program("initdb"), "-D", str(data), "-U", _USER, "-E", "UTF8", "--locale=C.UTF-8"]
        argv += ["--auth=scram-sha-256", f"--pwfile={secret}", "--no-instructions"]
        command = Command(name="initdb", argv=argv, env=_environment(), user=user)
        try:
            await run(command, self.registry)
        finally:
            secret.unlink()

    async def _question(self) -> str | None:
        try:
            connection = await asyncpg.connect(self.url(), timeout=5)
        except (OSError, asyncpg.PostgresError, TimeoutError) as error:
            return str(error) or type(error).__name__
        await connection.close()
        return None


def reachable_home(wanted: Path) -> Path:
    """Return ``wanted``, or a folder elsewhere if root's ``postgres`` cannot reach it."""
    if os.geteuid() != 0 or all(parent.stat().st_mode & 0o001 for parent in _existing(wanted)):
        return wanted
    mark = hashlib.sha256(str(wanted).encode()).hexdigest()[:12]
    return _FOREIGN_HOME / mark / wanted.name


def _existing(path: Path) -> list[Path]:
    return [parent for parent in path.resolve().parents if parent.exists()]


def _program(name: str) -> str:
    found = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda at: int(at.parts[-3])
    )
    if not found:
        raise NotReady("PostgreSQL is not installed; `make setup` says how")
    return str(found[-1])


def _environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "UTC"}
