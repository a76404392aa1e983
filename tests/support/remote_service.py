"""delivery-remote as a process of its own, between a real broker and postfix's smtp-sink."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx

from onemachine.ports import free_ports
from onemachine.ready import NO_TLS
from onemachine.services import inherited_environment
from posthouse.blobs import open_blobs
from posthouse.bus.connection import connect
from posthouse.bus.publisher import Publisher
from posthouse.bus.topology import road_of
from posthouse.mail.envelope import Inbound, InboundRecipient, Remote
from posthouse.mail.ids import new_id
from posthouse.storage import ledger
from posthouse.storage.ledger import Branch, Kept, NewMail, NewRecipient
from posthouse.storage.ledger.claiming import key_of
from posthouse.storage.pool import Pool
from posthouse.telemetry.probes import Probes
from support import forks
from support.forks import Forked

AT_ONCE = 200  # accepted together
START_SECONDS = 60.0  # a machine that does much else, too
_UNCLAIMED = "select bool_and(pg_try_advisory_xact_lock(key)) from unnest($1::bigint[]) as k (key)"
_OPEN = "select count(*) from recipients where settled_at is null"


async def come_true(condition: Callable[[], Awaitable[bool]], within: float) -> None:
    """Return when ``condition`` holds; `TimeoutError` if it does not ``within`` seconds."""
    async with asyncio.timeout(within):
        while not await condition():  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.05)


@dataclass
class Office:
    """What delivery-remote needs around it; starts and ends its processes.

    Attributes:
        settings: The environment of each process.
        running: The processes that were started here.
    """

    pool: Pool
    broker_url: str
    folder: Path
    settings: Mapping[str, str]
    running: list[Forked] = field(default_factory=list)

    async def start(self, *, ready: bool = True) -> tuple[Forked, int]:
        """Start a process; return it once it is (or, if not ``ready``, says it is not) ready.

        The number is the port of its probes.
        """
        port = free_ports(1)[0]
        environment = {**inherited_environment(), **self.settings}
        environment["POSTHOUSE_HEALTH_PORT"] = str(port)
        process = await forks.start("delivery_remote", environment, self.folder / f"log-{port}")
        self.running.append(process)
        async with httpx.AsyncClient(verify=NO_TLS) as client:
            await come_true(
                lambda: self._answers(client, port, 200 if ready else 503), START_SECONDS
            )
        return process, port

    async def stop(self, process: Forked, number: signal.Signals = signal.SIGTERM) -> int:
        """End ``process`` and return its exit code."""
        if process.returncode is None:
            process.send_signal(number)
        return await asyncio.wait_for(process.wait(), START_SECONDS)

    async def post(
        self, domain: str, count: int, octets: bytes, sender: str = "anna@example.test"
    ) -> list[Remote]:
        """Accept, route and publish ``count`` mails, each to its own recipient at ``domain``.

        The word ``{id}`` in ``octets`` becomes the id of each.
        """
        envelopes = await self.prepare(domain, count, octets, sender)
        await self.publish(envelopes)
        return envelopes

    async def prepare(
        self, domain: str, count: int, octets: bytes, sender: str = "anna@example.test"
    ) -> list[Remote]:
        """Accept and route, as `post` does; return what is to be published."""
        envelopes = [_to_one(domain, octets, sender) for _ in range(count)]
        async with open_blobs(f"disk:{self.folder / 'objects'}") as blobs:
            for at in range(0, count, AT_ONCE):
                some = envelopes[at : at + AT_ONCE]
                await asyncio.gather(*(blobs.put(each.blob, _whole(each, octets)) for each in some))
                await ledger.enter(self.pool, list(map(_as_accepted, some)))
                branch = Branch(road="remote", address="", domain=domain)
                await ledger.routed(
                    self.pool,
                    [
                        (each.id, Kept(to.n, replace(branch, address=to.address)))
                        for each in some
                        for to in each.recipients
                    ],
                )
        return envelopes

    async def publish(self, envelopes: Sequence[Remote]) -> None:
        """Put ``envelopes`` on their road, which is one."""
        async with connect(self.broker_url, Probes(), "test") as broker:
            await broker.wait_until_up()
            await Publisher(broker).send(road_of(envelopes[0]), envelopes)

    async def all_settled(self, within: float = 60.0) -> None:
        """Return when the ledger has no open recipient left."""

        async def is_settled() -> bool:
            return await self.pool.fetchval(_OPEN) == 0

        await come_true(is_settled, within)

    async def await_state(self, state: str, count: int) -> None:
        """Return when ``count`` recipients are in ``state``."""

        async def is_reached() -> bool:
            return (await self.states()).get(state) == count

        await come_true(is_reached, START_SECONDS)

    async def await_unclaimed(self, envelopes: Sequence[Remote]) -> None:
        """Return when nobody works on any of ``envelopes``: operators may decide of them."""
        keys = [key_of(envelope) for envelope in envelopes]

        async def are_free() -> bool:
            return bool(await self.pool.fetchval(_UNCLAIMED, keys))

        await come_true(are_free, START_SECONDS)

    async def states(self) -> dict[str, int]:
        """Return how many recipients are in each state."""
        rows = await self.pool.fetch("select state, count(*) as n from recipients group by 1")
        return {row["state"]: row["n"] for row in rows}

    @staticmethod
    async def _answers(client: httpx.AsyncClient, port: int, status: int) -> bool:
        try:
            return (await client.get(f"http://127.0.0.1:{port}/readyz")).status_code == status
        except httpx.TransportError:
            return False


@asynccontextmanager
async def open_office(
    pool: Pool, postgres_url: str, broker_url: str, folder: Path, settings: Mapping[str, str]
) -> AsyncIterator[Office]:
    """Open an office; what still runs at the end is killed."""
    common = {
        "POSTHOUSE_DATABASE_URL": postgres_url,
        "POSTHOUSE_BROKER_URL": broker_url,
        "POSTHOUSE_STORE": f"disk:{folder / 'objects'}",
        "POSTHOUSE_HOSTNAME": "mail.example.test",
    }
    office = Office(pool, broker_url, folder, {**common, **settings})
    try:
        yield office
    finally:
        for process in office.running:
            await office.stop(process, signal.SIGKILL)


def _to_one(domain: str, octets: bytes, sender: str) -> Remote:
    """Return an envelope with a recipient of its own."""
    ident = new_id()
    people = (InboundRecipient(n=0, address=f"{ident.hex}@{domain}"),)
    size = len(octets.replace(b"{id}", ident.hex.encode()))
    return Remote(id=ident, sender=sender, size=size, domain=domain, recipients=people)


def _whole(envelope: Remote, octets: bytes) -> bytes:
    return octets.replace(b"{id}", envelope.id.hex.encode())


def _as_accepted(envelope: Remote) -> NewMail:
    inbound = Inbound(
        id=envelope.id,
        sender=envelope.sender,
        size=envelope.size,
        recipients=envelope.recipients,
    )
    to = tuple(NewRecipient(each.n, each.address) for each in envelope.recipients)
    return NewMail(
        id=inbound.id, origin="smtp", sender=inbound.sender, size=inbound.size,
        recipients=to, envelope=inbound,
    )  # fmt: skip
