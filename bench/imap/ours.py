"""Our own imap-gateway, with every service and server around it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bench.ours import Posthouse, StoreKind, posthouse
from bench.system import Unfit
from posthouse.storage.indexing import backlog

GATEWAY = "imap-gateway"
DOMAIN = "bench.test"
INDEXED_WITHIN_SECONDS = 300.0
LOOK_EVERY_SECONDS = 0.2
_SETTINGS = {
    "POSTHOUSE_IMAP_PLAINTEXT_LOGIN": "true",
    "POSTHOUSE_IMAP_CONNECTIONS_MAX": "12000",
    "POSTHOUSE_IMAP_CLIENT_CONNECTIONS_MAX": "12000",
    "POSTHOUSE_IMAP_ACCOUNT_CONNECTIONS_MAX": "12000",
    "POSTHOUSE_IMAP_ACCOUNT_CLIENT_CONNECTIONS_MAX": "12000",
    "POSTHOUSE_RATE_IMAP_CONNECTIONS": "",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """One that runs.

    Attributes:
        name: How the table calls it.
        house: The whole system.
    """

    name: str
    house: Posthouse

    @property
    def port(self) -> int:
        """Where it speaks IMAP."""
        return self.house.stack.options.ports["IMAP_PORT"]

    @property
    def tls_port(self) -> int:
        """Where it does so by TLS."""
        return self.house.stack.options.ports["IMAPS_PORT"]

    @property
    def password(self) -> str:
        """Of all users."""
        return self.house.password

    @property
    def processes(self) -> Mapping[str, int]:
        """All that may be at work for a reader."""
        here = self.house.processes
        servers = [name for name in here if name == "seaweedfs"]  # only where objects lie in S3
        return {name: here[name] for name in (GATEWAY, "postgresql", "rabbitmq", *servers)}

    async def renew(self) -> None:
        """Start the gateway anew: it knows no mailbox then."""
        stack = self.house.stack
        service = stack.service(GATEWAY)
        await stack.halt(service)
        await stack.resume(service)
        await service.ready()

    async def rest(self) -> None:
        """Return when the indexer is through; raise `Unfit` if it is not within minutes."""
        until = time.monotonic() + INDEXED_WITHIN_SECONDS
        while (await backlog(self.house.pool)).waiting:
            if time.monotonic() > until:
                raise Unfit("the indexer does not come to its end")
            await asyncio.sleep(LOOK_EVERY_SECONDS)


@asynccontextmanager
async def gateway(
    users: int, say: Callable[[str], None], store: StoreKind = "disk"
) -> AsyncIterator[Gateway]:
    """Run Posthouse with users ``u000@bench.test`` and so on while inside."""
    names = [user(n) for n in range(users)]
    async with posthouse(DOMAIN, names, say, _SETTINGS, store=store) as house:
        yield Gateway(name=f"Posthouse, {store}", house=house)


def user(n: int) -> str:
    """Return the address of the n-th user."""
    return f"u{n:03}@{DOMAIN}"
