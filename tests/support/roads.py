"""Tools for tests on real roads: envelopes, conditions, and a hand on the broker's connections."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from onemachine.ready import NO_TLS
from posthouse.bus.connection import Broker
from posthouse.bus.consumer import Ack, Move, consume
from posthouse.bus.publisher import Publisher
from posthouse.bus.topology import LOCAL
from posthouse.bus.wire import decode, unbundled
from posthouse.mail.envelope import Envelope, Local, LocalRecipient
from posthouse.mail.errors import Unavailable
from posthouse.mail.ids import new_id
from posthouse.telemetry.probes import Probes

PATIENCE_SECONDS = 30.0


def local(n: int = 1) -> Local:
    """Return an envelope for the road ``mail.local``; ``n`` tells it from others."""
    return Local(
        id=new_id(),
        sender="anna@example.test",
        size=1000 + n,
        recipients=(LocalRecipient(n=n, address="bert@example.test", account=7),),
    )


async def until(condition: Callable[[], bool], what: str) -> None:
    """Return when ``condition`` holds; fail naming ``what`` when it never does."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, f"waited in vain until {what}"
        await asyncio.sleep(0.01)


async def send_patiently(publisher: Publisher, envelope: Local) -> None:
    """Publish on ``mail.local`` as soon as the road is there again."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            await publisher.send(LOCAL, [envelope])
        except Unavailable:
            assert time.monotonic() < end, "the road stayed away"
            await asyncio.sleep(0.1)
        else:
            return


class Desk:
    """A handler that writes down what it gets; `answer` may be replaced."""

    def __init__(self) -> None:
        self.calls: list[tuple[Local, ...]] = []
        self.answer: Callable[[Sequence[Local]], Awaitable[Sequence[Move]]] = self.ack

    @property
    def seen(self) -> list[int]:
        """The numbers of the envelopes, in the order they came."""
        return [envelope.recipients[0].n for call in self.calls for envelope in call]

    async def ack(self, envelopes: Sequence[Local]) -> Sequence[Move]:
        """All is done."""
        return [Ack() for _ in envelopes]

    async def __call__(self, envelopes: Sequence[Local]) -> Sequence[Move]:
        """Be handed ``envelopes``."""
        self.calls.append(tuple(envelopes))
        return await self.answer(envelopes)


class Management:
    """The broker's management API, for the virtual host of one test."""

    def __init__(self, api: str, broker_url: str) -> None:
        parts = urlsplit(broker_url)
        self._vhost = parts.path.removeprefix("/")
        self._client = httpx.AsyncClient(
            base_url=api,
            auth=(parts.username or "guest", parts.password or "guest"),
            timeout=30,
            verify=NO_TLS,
        )

    async def __aenter__(self) -> "Management":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def close_connections(self, purpose: str) -> int:
        """Force the connections whose name ends in ``purpose`` closed, as an operator would."""
        return await self.close(await self.connections(purpose))

    async def connections(self, purpose: str) -> list[str]:
        """Return the connections whose name ends in ``purpose``, as soon as there are any."""
        end = time.monotonic() + PATIENCE_SECONDS
        while True:  # the management's statistics lag behind by seconds
            found = await self._get(f"/api/vhosts/{quote(self._vhost, safe='')}/connections")
            names = [
                one["name"] for one in found if one.get("user_provided_name", "").endswith(purpose)
            ]
            if names:
                return names
            assert time.monotonic() < end, f"no connection for {purpose} was listed"
            await asyncio.sleep(0.1)

    async def close(self, names: Sequence[str]) -> int:
        """Force these connections closed; return how many there were."""
        for name in names:
            answer = await self._client.delete(f"/api/connections/{quote(name, safe='')}")
            assert answer.status_code in {204, 404}, answer.text
        return len(names)

    async def delete_queue(self, name: str) -> None:
        """Delete a queue with what is in it."""
        await self._delete(f"/api/queues/{self._vhost}/{name}")

    async def delete_exchange(self, name: str) -> None:
        """Delete an exchange with its bindings."""
        await self._delete(f"/api/exchanges/{self._vhost}/{name}")

    async def declare_queue(self, name: str, arguments: dict[str, Any]) -> None:
        """Declare a durable queue with other arguments than ours."""
        answer = await self._client.put(
            f"/api/queues/{self._vhost}/{name}", json={"durable": True, "arguments": arguments}
        )
        answer.raise_for_status()

    async def bindings(self, queue: str) -> list[dict[str, Any]]:
        """Return what ``queue`` is bound to; the default exchange is named by nothing."""
        return await self._get(f"/api/queues/{self._vhost}/{queue}/bindings")

    async def purge(self, name: str) -> None:
        """Empty a queue."""
        await self._delete(f"/api/queues/{self._vhost}/{name}/contents")

    async def letters(self, queue: str) -> list[dict[str, Any]]:
        """Return what lies ready in ``queue``, and put it back."""
        answer = await self._client.post(
            f"/api/queues/{self._vhost}/{queue}/get",
            json={"count": 1000, "ackmode": "ack_requeue_true", "encoding": "auto"},
        )
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()
        return found

    async def _get(self, path: str) -> list[dict[str, Any]]:
        answer = await self._client.get(path)
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()
        return found

    async def _delete(self, path: str) -> None:
        (await self._client.delete(path)).raise_for_status()


@asynccontextmanager
async def consuming(
    broker: Broker, desk: Desk, *, batch: int = 1, concurrency: int = 1
) -> AsyncIterator[asyncio.Task[None]]:
    """Serve ``mail.local`` while inside, and stop in order."""
    beat = Probes().progress(LOCAL)
    task = asyncio.create_task(
        consume(broker, LOCAL, desk, beat=beat, batch=batch, concurrency=concurrency)
    )
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def taken_off(broker: Broker, road: str) -> list[Envelope]:
    """Take everything that lies ready on ``road``."""
    channel = await broker.consuming.channel(confirms=False)
    queue = await channel.declare_queue(road, passive=True)
    found: list[Envelope] = []
    while (message := await queue.get(no_ack=True, fail=False)) is not None:
        found.extend(decode(line, road) for line in unbundled(message.body))
    await channel.close()
    return found


def envelope_in(letter: dict[str, Any]) -> Local:
    envelope = decode(letter["payload"].encode(), LOCAL)
    assert isinstance(envelope, Local)
    return envelope


async def until_ready(management: Management, queue: str, count: int) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while (ready := len(await management.letters(queue))) != count:
        assert time.monotonic() < end, f"{queue}: {ready} instead of {count}"
        await asyncio.sleep(0.05)
