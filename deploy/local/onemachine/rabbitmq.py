"""A private RabbitMQ, on request with its management plugin.

Posthouse itself needs no plugin, and without them the node starts with less work and stops 5 s sooner
(the agent of the management plugin keeps the node that long).

Debian's ``/usr/sbin`` wrappers insist on a certain user, so the programs below them are called.
Everything they would read from /etc is turned off by name. The name service of Erlang nodes (epmd)
would stay behind as a daemon; here it is a child like any other.
"""

import asyncio
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from onemachine.children import Child, Command, Registry, spawn
from onemachine.ports import LOOPBACK
from onemachine.ready import NotReady, loopback_client, wait_ready
from onemachine.trimming import trimmed

_GREETING = b"AMQP\x00\x00\x09\x01"  # AMQP 0-9-1, section 4.2.2; the answer is a frame
_ASK_SECONDS = 5.0
_PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_MAX_OCTETS_IN_MEMORY = "1GB"
_MIN_FREE_DISK = "200MB"
_ONLY_LOOPBACK = "-kernel inet_dist_use_interface {127,0,0,1}"
# Erlang's schedulers spin before they sleep; a machine that has all services on it needs its cores.
_NO_BUSY_WAITING = "+sbwt none +sbwtdcpu none +sbwtdio none"


@dataclass(frozen=True, slots=True, kw_only=True)
class RabbitPorts:
    """The ports of one node."""

    amqp: int
    management: int
    distribution: int
    epmd: int


@dataclass(kw_only=True)
class RabbitMQ:
    """One node; its queues stay in ``home`` from run to run.

    Attributes:
        home: Its folder, ours alone.
        ports: Where it and its name service listen on loopback.
        password: Of the user ``guest``, who may come from loopback only; set when the data folder is made.
        management: Whether it has its management API and pages.
    """

    home: Path
    ports: RabbitPorts
    password: str
    registry: Registry
    management: bool = False
    name: str = "rabbitmq"
    user: str = "guest"
    child: Child | None = field(default=None, init=False)
    _names: Child | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        """The AMQP address, password included."""
        return f"amqp://{self.user}:{self.password}@{LOOPBACK}:{self.ports.amqp}/"

    @property
    def api(self) -> str:
        """The address of the management API, for a node that was made with it."""
        return f"http://{LOOPBACK}:{self.ports.management}"

    @property
    def _plugins(self) -> tuple[str, ...]:
        return ("rabbitmq_management",) if self.management else ()

    @property
    def data(self) -> Path:
        """Where the queues lie; deleting it is losing the broker."""
        return self.home / "data"

    async def start(self) -> None:
        """Start it and wait until it takes connections."""
        self._write_configuration()
        program = await asyncio.to_thread(
            trimmed, _PROGRAM, self.home / "distribution", self._plugins
        )
        env = self._environment()
        names = ["epmd", "-port", str(self.ports.epmd), "-address", LOOPBACK]
        if self._names is None or not self._names.alive:
            self._names = await spawn(
                Command(name=f"{self.name}-epmd", argv=names, env=env), self.registry
            )
        self.child = await spawn(
            Command(name=self.name, argv=[str(program)], env=env), self.registry
        )
        await wait_ready(self.child, self.registry, self._question, within_seconds=90)

    async def stop(self) -> None:
        """End it in good order, its name service last."""
        if self.child is not None:
            await self.child.stop(patience=30)
        if self._names is not None:
            await self._names.stop()

    def _write_configuration(self) -> None:
        if not _PROGRAM.exists():
            raise NotReady("RabbitMQ is not installed; `make setup` says how")
        for folder in (self.data, self.home / "log", self.home / "conf.d"):
            folder.mkdir(parents=True, exist_ok=True)
        cookie = self.home / ".erlang.cookie"
        if not cookie.exists():
            cookie.touch(mode=0o600)
            cookie.write_text(secrets.token_hex(20))
            cookie.chmod(0o400)
        (self.home / "enabled_plugins").write_text(f"[{','.join(self._plugins)}].\n")
        conf = self.home / "rabbitmq.conf"
        conf.touch(mode=0o600)
        conf.write_text(
            f"""\
listeners.tcp.1 = {LOOPBACK}:{self.ports.amqp}
{self._management_settings()}default_user = {self.user}
default_pass = {self.password}
log.console = true
log.console.level = warning
log.file = false
disk_free_limit.absolute = {_MIN_FREE_DISK}
vm_memory_high_watermark.absolute = {_MAX_OCTETS_IN_MEMORY}
"""
        )

    def _environment(self) -> dict[str, str]:
        home = self.home
        return {
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            "HOME": str(home),
            "ERL_EPMD_PORT": str(self.ports.epmd),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            # The start script then becomes the server, which gets our signals itself.
            "RABBITMQ_ALLOW_INPUT": "1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-noinput {_ONLY_LOOPBACK} {_NO_BUSY_WAITING}",
            "RABBITMQ_CONF_ENV_FILE": "/nonexistent",
            "RABBITMQ_NODENAME": "posthouse@localhost",
            "RABBITMQ_DIST_PORT": str(self.ports.distribution),
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced.config"),
            "RABBITMQ_CONFIG_FILES": str(home / "conf.d"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.data),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_PID_FILE": str(home / "pid"),
        }

    def _management_settings(self) -> str:
        if not self.management:  # a setting of a plugin that is not there is an error
            return ""
        return f"management.tcp.ip = {LOOPBACK}\nmanagement.tcp.port = {self.ports.management}\n"

    async def _question(self) -> str | None:
        return (
            await self._asked_by_amqp() or (self.management and await self._asked_by_http()) or None
        )

    async def _asked_by_amqp(self) -> str | None:
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                reader, writer = await asyncio.open_connection(LOOPBACK, self.ports.amqp)
                try:
                    writer.write(_GREETING)
                    answer = await reader.read(1)
                finally:
                    writer.close()
        except (OSError, TimeoutError) as error:
            return str(error) or type(error).__name__
        return None if answer else "it hangs up"

    async def _asked_by_http(self) -> str | None:
        async with loopback_client(_ASK_SECONDS, (self.user, self.password)) as client:
            try:
                reply = await client.get(f"{self.api}/api/health/checks/virtual-hosts")
            except httpx.HTTPError as error:
                return str(error) or type(error).__name__
        return None if reply.is_success else reply.text
