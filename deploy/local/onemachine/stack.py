"""The whole system on one machine: servers, schema, services; up and down.

The composition root of ``make run`` and of the journeys in tests/.
"""

import asyncio
import fcntl
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from onemachine.certificates import Certificates, certificates
from onemachine.children import Registry
from onemachine.keys import Keys, kept
from onemachine.options import BUCKET, DATABASE, HOSTNAME, Options, settle_store
from onemachine.ports import check_free
from onemachine.postgres import reachable_home
from onemachine.servers import Servers, servers, stop_all
from onemachine.services import Service, inherited_environment, listeners, services
from onemachine.supervisor import Part, Supervisor
from posthouse.storage.migrate import migrate

_FOLDER_MODE = 0o755  # root's PostgreSQL runs with the rights of another user


class AlreadyRunning(Exception):
    """Another process runs a stack in the same folder."""


class Stack:
    """One system in one folder.

    Attributes:
        options: How it was asked for.
        keys: Its passwords.
        servers: PostgreSQL, RabbitMQ, SeaweedFS.
        services: Every copy of every service.
        supervisor: Starts again what dies.
    """

    def __init__(
        self,
        options: Options,
        say: Callable[[str], None],
        postgres_settings: Sequence[str] = (),
        *,
        management: bool = False,
    ) -> None:
        self.options = options
        self.registry = Registry(options.var)
        self.supervisor = Supervisor(say)
        self._say = say
        self._lock = _locked(options.var)
        settle_store(options)
        self.keys: Keys = kept(options.var / "keys.json")
        self.certificates: Certificates = certificates(options.var / "tls", (HOSTNAME, "localhost"))
        self.servers: Servers = servers(
            options.var,
            self.keys,
            self.registry,
            s3=options.store == "s3",
            management=management,
            postgres_settings=postgres_settings,
        )
        self.services: list[Service] = []

    @property
    def parts(self) -> list[Part]:
        """All that runs: servers first."""
        return [*self.servers.all, *self.services]

    def service(self, name: str) -> Service:
        """Return the service called ``name``."""
        return next(service for service in self.services if service.name == name)

    async def start(self) -> None:
        """Bring everything up and wait until every service says that it is ready."""
        for name in await self.registry.end_leftovers():
            self._say(f"ended {name}, left behind by a killed run")
        check_free(listeners(self.options.ports, self.options.copies))
        self._say("starting " + ", ".join(server.name for server in self.servers.all))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._start_server(self.servers.rabbitmq))
            group.create_task(self._start_the_rest())
        for part in self.parts:
            self.supervisor.watch(part)

    async def halt(self, part: Part) -> None:
        """Stop one part and leave it so."""
        await self.supervisor.hold(part)
        await part.stop()

    async def resume(self, part: Part) -> None:
        """Start a part again that was halted, and watch it."""
        await part.start()
        self.supervisor.watch(part)

    async def stop(self) -> None:
        """Take everything down: services finish what they do, then the servers end."""
        await self.supervisor.close(self.parts)
        try:
            await stop_all(self.services)
        finally:
            await stop_all(self.servers.all)
            self._lock.close()

    def settings(self) -> Mapping[str, str]:
        """Return the settings that all services share, by their names in the environment."""
        common = {
            **inherited_environment(),
            "POSTHOUSE_HOSTNAME": HOSTNAME,
            "POSTHOUSE_DATABASE_URL": self.servers.postgres.url(DATABASE),
            "POSTHOUSE_BROKER_URL": self.servers.rabbitmq.url,
            "POSTHOUSE_TLS_CERTIFICATE": str(self.certificates.chain),
            "POSTHOUSE_TLS_KEY": str(self.certificates.key),
            "POSTHOUSE_API_TOKEN": self.keys.api_token,
            "POSTHOUSE_SRS_SECRET": self.keys.srs,
            "POSTHOUSE_DKIM_SECRET": self.keys.dkim,
            "POSTHOUSE_AUTHENTICATION": "off",  # who sends from this machine has no names
        }
        return common | self._store_settings() | dict(self.options.settings)

    def _store_settings(self) -> dict[str, str]:
        weed = self.servers.seaweedfs
        if weed is None:
            return {"POSTHOUSE_STORE": f"disk:{self.options.var / 'objects'}"}
        return {
            "POSTHOUSE_STORE": weed.access.store(BUCKET),
            "POSTHOUSE_STORE_ACCESS_KEY": weed.access_key,
            "POSTHOUSE_STORE_SECRET_KEY": weed.secret_key,
        }

    async def _start_server(self, server: Part) -> None:
        await server.start()
        self._say(f"{server.name} runs")

    async def _start_the_rest(self) -> None:
        """Start what needs not wait for RabbitMQ: the services do so by themselves."""
        if self.servers.seaweedfs is None:
            (self.options.var / "objects").mkdir(exist_ok=True)
            await self._start_database()
        else:
            await asyncio.gather(self._start_database(), self._start_store())
        self.services = services(
            self.settings(), self.options.ports, self.options.copies, self.registry
        )
        for service in self.services:
            await service.start()
        self._say(f"{len(self.services)} services start")
        async with asyncio.TaskGroup() as group:
            for service in self.services:
                group.create_task(service.ready())

    async def _start_database(self) -> None:
        await self._start_server(self.servers.postgres)
        await self.servers.postgres.create_database(DATABASE)
        await migrate(self.servers.postgres.url(DATABASE))

    async def _start_store(self) -> None:
        if self.servers.seaweedfs is not None:
            await self._start_server(self.servers.seaweedfs)
            await self.servers.seaweedfs.create_bucket(BUCKET)


def remove_data(var: Path) -> None:
    """Remove what runs have left below ``var``, and root's PostgreSQL folder elsewhere."""
    if var.exists():
        with _locked(var):
            shutil.rmtree(reachable_home(var / "postgresql"), ignore_errors=True)
            shutil.rmtree(var)


def _locked(var: Path) -> IO[str]:
    """Claim ``var`` for this process until it ends."""
    var.mkdir(parents=True, exist_ok=True)
    var.chmod(_FOLDER_MODE)
    lock = (var / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise AlreadyRunning(
            f"a stack is running in {var} already; stop that one first (Ctrl-C where it runs)"
        ) from error
    return lock
