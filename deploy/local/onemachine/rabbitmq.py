"""A private RabbitMQ with management and Prometheus plugins.

Debian's ``/usr/sbin`` wrappers insist on a certain user, so the programs below them are called.
Everything they would read from /etc is turned off by name. The name service of Erlang nodes (epmd)
would stay behind as a daemon; here it is a child like any other.
"""

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from onemachine.children import Child, Command, Registry, spawn
from onemachine.ports import LOOPBACK
from onemachine.ready import NotReady, wait_ready

_PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_PORTS = 5
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
    prometheus: int
    distribution: int
    epmd: int


@dataclass(kw_only=True)
class RabbitMQ:
    """One node; its queues stay in ``home`` from run to run.

    Attributes:
        home: Its folder, ours alone.
        ports: Where it and its name service listen on loopback.
        password: Of the user ``guest``, who may come from loopback only; set when the data folder is made.
    """

    home: Path
    ports: RabbitPorts
    password: str
    registry: Registry
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
        """The address of the management API and its pages."""
        return f"http://{LOOPBACK}:{self.ports.management}"

    @property
    def data(self) -> Path:
        """Where the queues lie; deleting it is losing the broker."""
        return self.home / "data"

    async def start(self) -> None:
        """Start it and wait until it takes connections."""
        self._write_configuration()
        env = self._environment()
        names = ["epmd", "-port", str(self.ports.epmd), "-address", LOOPBACK]
        if self._names is None or not self._names.alive:
            self._names = await spawn(
                Command(name=f"{self.name}-epmd", argv=names, env=env), self.registry
            )
        self.child = await spawn(
            Command(name=self.name, argv=[str(_PROGRAM)], env=env), self.registry
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
        (self.home / "enabled_plugins").write_text("[rabbitmq_management,rabbitmq_prometheus].\n")
        conf = self.home / "rabbitmq.conf"
        conf.touch(mode=0o600)
        conf.write_text(
            f"""\
listeners.tcp.1 = {LOOPBACK}:{self.ports.amqp}
management.tcp.ip = {LOOPBACK}
management.tcp.port = {self.ports.management}
prometheus.tcp.ip = {LOOPBACK}
prometheus.tcp.port = {self.ports.prometheus}
default_user = {self.user}
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

    async def _question(self) -> str | None:
        async with httpx.AsyncClient(auth=(self.user, self.password), timeout=5) as client:
            try:
                reply = await client.get(f"{self.api}/api/health/checks/virtual-hosts")
            except httpx.HTTPError as error:
                return str(error) or type(error).__name__
        return None if reply.is_success else reply.text
