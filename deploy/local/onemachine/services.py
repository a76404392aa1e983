"""The services of Posthouse as child processes: which there are, and what each is told."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import httpx

from onemachine.children import Child, Command, Registry, spawn
from onemachine.ports import COPY_STRIDE, LOOPBACK, Port, free_ports
from onemachine.ready import loopback_client, wait_ready


@dataclass(frozen=True, slots=True)
class Kind:
    """One service: its name, its package, the well-known ports it listens on.

    Attributes:
        yields: Where cores are short it waits behind the others (decision 0022).
    """

    name: str
    package: str
    ports: tuple[str, ...] = ()
    yields: bool = False


# In the order of a message's way; ingress last, so that mail is taken only when it can travel on.
KINDS = (
    Kind("postmaster", "postmaster", ("POSTMASTER_PORT",)),
    Kind("policy", "policy_engine"),
    Kind("delivery-local", "delivery_local"),
    Kind("delivery-remote", "delivery_remote"),
    Kind("imap-gateway", "imap_gateway", ("IMAP_PORT", "IMAPS_PORT")),
    Kind("pop3-gateway", "pop3_gateway", ("POP3_PORT", "POP3S_PORT")),
    Kind(
        "ingress-smtp", "ingress_smtp", ("SMTP_PORT", "SUBMISSION_PORT", "SMTPS_PORT"), yields=True
    ),
)
_READY_WITHIN_SECONDS = 90.0


@dataclass(kw_only=True)
class Service:
    """One copy of one service.

    Attributes:
        name: ``imap-gateway``; the second copy is ``imap-gateway-2``.
        package: What ``python -m`` runs.
        ports: Where it listens, by setting.
        health_port: Where its probes and metrics are.
        env: All its settings.
        yields: See `Kind`.
    """

    name: str
    package: str
    ports: Mapping[str, int]
    health_port: int
    env: Mapping[str, str]
    registry: Registry
    yields: bool = False
    child: Child | None = field(default=None, init=False)

    async def start(self) -> None:
        """Start it; it waits for its dependencies by itself."""
        argv = [sys.executable, "-m", self.package]
        command = Command(name=self.name, argv=argv, env=self.env, yields=self.yields)
        self.child = await spawn(command, self.registry)

    async def stop(self) -> None:
        """Let it finish what it is doing, and end it."""
        if self.child is not None:
            await self.child.stop(patience=30)

    async def ready(self) -> None:
        """Wait until it says that it can work."""
        if self.child is None:
            raise RuntimeError(f"{self.name} was not started")
        await wait_ready(self.child, self.registry, self.trouble, _READY_WITHIN_SECONDS)

    async def trouble(self) -> str | None:
        """Ask its readiness probe; return why it cannot work, or ``None``."""
        async with loopback_client(timeout=3) as client:
            try:
                reply = await client.get(f"http://{LOOPBACK}:{self.health_port}/readyz")
            except httpx.HTTPError:
                return "does not answer yet"
        return None if reply.is_success else "; ".join(reply.text.splitlines())[:200]


def services(
    common: Mapping[str, str], public: Mapping[str, int], copies: int, registry: Registry
) -> list[Service]:
    """Return ``copies`` of each service; the second copy's ports are `COPY_STRIDE` higher.

    Args:
        common: Settings that all share.
        public: The well-known ports of the first copies.
        copies: How many of each.
        registry: Where the processes are noted.
    """
    spare = free_ports(copies * (len(KINDS) + 1))
    policy = [spare.pop() for _ in range(copies)]
    endpoints = ",".join(f"{LOOPBACK}:{port}" for port in policy)
    made = []
    for kind in KINDS:
        for copy in range(copies):
            ports = {name: public[name] + copy * COPY_STRIDE for name in kind.ports}
            health = spare.pop()
            env = dict(common) | {f"POSTHOUSE_{name}": str(port) for name, port in ports.items()}
            env["POSTHOUSE_HEALTH_PORT"] = str(health)
            env["POSTHOUSE_POLICY_ENDPOINTS"] = endpoints
            env["POSTHOUSE_POLICY_PORT"] = str(policy[copy])
            made.append(
                Service(
                    name=kind.name if copy == 0 else f"{kind.name}-{copy + 1}",
                    package=kind.package,
                    ports=ports,
                    health_port=health,
                    env=env,
                    registry=registry,
                    yields=kind.yields,
                )
            )
    return made


def listeners(public: Mapping[str, int], copies: int) -> Sequence[Port]:
    """Return every well-known port that `services` will listen on."""
    return [
        Port(name, number + copy * COPY_STRIDE)
        for name, number in public.items()
        for copy in range(copies)
    ]


def inherited_environment() -> dict[str, str]:
    """Return what every service takes from our own environment.

    PYTHONPATH, so that a clone runs its own code also where its .venv was made for another.
    """
    wanted = ("PATH", "PYTHONPATH", "TMPDIR")
    return {name: os.environ[name] for name in wanted if name in os.environ}
