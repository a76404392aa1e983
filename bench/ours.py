"""Posthouse as ``make run`` starts it: private servers, every service, a folder of its own."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias

import httpx

from bench.ground import ground
from bench.system import Unfit
from onemachine.children import Child
from onemachine.options import DATABASE, Options
from onemachine.ports import LOOPBACK, PUBLIC, free_ports
from onemachine.ready import NotReady, leaves
from onemachine.stack import Stack, remove_data
from posthouse.storage.pool import Pool, open_pool

_COUNT = "select coalesce(sum(exists_), 0)::bigint from mailboxes"
API_SECONDS = 120.0
StoreKind: TypeAlias = Literal["disk", "s3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Posthouse:
    """Our own system, running.

    Attributes:
        name: How the table calls it.
        port: Where ingress-smtp takes mail.
        pool: Its database, to count what was filed.
        broker: The address of its broker.
        password: Of all users.
        stack: Its parts, to be stopped and started.
    """

    name: str
    port: int
    pool: Pool
    broker: str
    password: str
    stack: Stack

    @property
    def processes(self) -> Mapping[str, int]:
        """Every service and server that runs now."""
        return _processes(self.stack)

    async def delivered(self) -> int:
        """Return how many messages lie in all mailboxes."""
        return int(str(await self.pool.fetchval(_COUNT)))


@asynccontextmanager
async def posthouse(
    domain: str,
    users: Sequence[str],
    say: Callable[[str], None],
    settings: Mapping[str, str] | None = None,
    next_hop: int | None = None,
    store: StoreKind = "disk",
) -> AsyncIterator[Posthouse]:
    """Run Posthouse for ``users`` of ``domain`` while inside; nothing of it stays.

    Mail from here to elsewhere goes to the port ``next_hop`` on loopback, if there is one.
    """
    ports = dict(zip(PUBLIC, free_ports(len(PUBLIC)), strict=True))
    with ground(say) as folder:
        settings = {"POSTHOUSE_LOG_LEVEL": "WARNING", **(settings or {})}
        stack = Stack(
            Options(var=folder, store=store, copies=1, ports=ports, settings=settings), say
        )
        try:
            await _start(stack)
            password = await _populate(stack, domain, users, next_hop)
            async with open_pool(stack.servers.postgres.url(DATABASE), connections=1) as pool:
                yield Posthouse(
                    name="Posthouse",
                    port=ports["SMTP_PORT"],
                    pool=pool,
                    broker=stack.servers.rabbitmq.url,
                    password=password,
                    stack=stack,
                )
        finally:
            await stack.stop()
            await asyncio.to_thread(remove_data, folder)


async def _start(stack: Stack) -> None:
    try:
        await stack.start()
    except* NotReady as group:
        raise Unfit("\n".join(map(str, leaves(group)))) from group


async def _populate(stack: Stack, domain: str, users: Sequence[str], next_hop: int | None) -> str:
    """Make the domain and its users; return the password of all of them."""
    url = f"http://{LOOPBACK}:{stack.options.ports['POSTMASTER_PORT']}/api/v1"
    headers = {"Authorization": f"Bearer {stack.keys.api_token}"}
    password = secrets.token_urlsafe(12)
    accounts = [{"address": user, "password": password} for user in users]
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=API_SECONDS) as api:
        (await api.post("/domains", json={"domain": domain})).raise_for_status()
        answer = await api.post("/imports/accounts", json={"accounts": accounts})
        answer.raise_for_status()
        if next_hop is not None:
            route = {"hops": [f"{LOOPBACK}:{next_hop}"]}
            (await api.put("/routes/*", json=route)).raise_for_status()
            (await api.put("/networks/127.0.0.0/8", json={})).raise_for_status()
    return password


def _processes(stack: Stack) -> dict[str, int]:
    """Return the process of every part; each is the root of a tree."""
    found = {}
    for part in stack.parts:
        child: Child | None = part.child
        if child is not None:
            found[part.name] = child.process.pid
    return found
