"""A broker of its own, that is killed, blocked and emptied."""

import asyncio
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from onemachine.children import Registry
from onemachine.ports import free_ports
from onemachine.rabbitmq import RabbitMQ, RabbitPorts
from posthouse.bus.check import check
from posthouse.bus.connection import connect
from posthouse.bus.consumer import Ack, Move, consume
from posthouse.bus.publisher import Publisher
from posthouse.bus.topology import LOCAL
from posthouse.mail.envelope import Local
from posthouse.mail.errors import Unavailable
from posthouse.telemetry.probes import Probes
from support.roads import Desk, local, send_patiently, until

# One loop and one broker for all: the tests leave it running and its roads empty.
pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

CONTROL = "/usr/lib/rabbitmq/bin/rabbitmqctl"
ALARM = "{resource_limit, memory, node()}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rabbit() -> AsyncIterator[RabbitMQ]:
    """A running broker of this module alone."""
    home = Path(tempfile.mkdtemp(prefix="posthouse-rabbit-"))
    amqp, management, distribution, epmd = free_ports(4)
    ports = RabbitPorts(amqp=amqp, management=management, distribution=distribution, epmd=epmd)
    password = secrets.token_hex(8)
    server = RabbitMQ(home=home, ports=ports, password=password, registry=Registry(home))
    try:
        await server.start()
        yield server
    finally:
        await server.stop()
        shutil.rmtree(home)


async def kill(server: RabbitMQ) -> None:
    """Pull the plug."""
    assert server.child is not None
    server.child.kill()
    await server.child.wait()


async def tell(server: RabbitMQ, expression: str) -> None:
    """Have the broker evaluate ``expression``, as an operator would with rabbitmqctl."""
    process = await asyncio.create_subprocess_exec(
        CONTROL,
        "eval",
        expression,
        env=server._environment() | {"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ""},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    assert process.returncode == os.EX_OK, out.decode()


async def test_nothing_confirmed_is_lost_when_the_broker_is_killed_under_load(
    rabbit: RabbitMQ,
) -> None:
    desk, probes, confirmed = Desk(), Probes(), set[int]()

    async with connect(rabbit.url, probes, "test") as broker, asyncio.TaskGroup() as group:
        await broker.wait_until_up()
        publisher = Publisher(broker, timeout=timedelta(seconds=2))

        async def produce(producer: int) -> None:
            for at in range(100):
                numbers = [producer * 10_000 + at * 10 + n for n in range(10)]
                while True:  # as the sweeper would
                    with suppress(Unavailable):
                        await publisher.send(LOCAL, [local(n) for n in numbers])
                        break
                    await asyncio.sleep(0.05)
                confirmed.update(numbers)

        consuming = group.create_task(
            consume(broker, LOCAL, desk, beat=probes.progress(LOCAL), batch=20, concurrency=2)
        )
        producing = [group.create_task(produce(n)) for n in range(4)]
        await until(lambda: len(confirmed) > 500, "the load was on")
        await kill(rabbit)
        await until(lambda: not broker.is_up, "the loss was noticed")
        unready = probes.troubles()
        await rabbit.start()
        async with asyncio.timeout(60):
            await asyncio.gather(*producing)
        await until(lambda: confirmed <= set(desk.seen), "all had come")
        ready = probes.troubles()
        consuming.cancel()

    assert len(confirmed) == 4000
    assert unready
    assert ready == []


async def test_an_alarm_blocks_publishing_within_a_bound_but_not_consuming(
    rabbit: RabbitMQ,
) -> None:
    desk, probes, gate = Desk(), Probes(), asyncio.Event()

    async def hold_back(envelopes: Sequence[Local]) -> Sequence[Move]:
        await gate.wait()
        return [Ack() for _ in envelopes]

    desk.answer = hold_back
    async with connect(rabbit.url, probes, "test") as broker, asyncio.TaskGroup() as group:
        await broker.wait_until_up()
        publisher = Publisher(broker, timeout=timedelta(seconds=2))
        await publisher.send(LOCAL, [local(n) for n in range(200)])
        consuming = group.create_task(
            consume(broker, LOCAL, desk, beat=probes.progress(LOCAL), batch=10)
        )
        await until(lambda: bool(desk.calls), "the work had begun")

        await tell(rabbit, f"rabbit_alarm:set_alarm({{{ALARM}, []}}).")
        begun = time.monotonic()
        with pytest.raises(Unavailable):
            await publisher.send(LOCAL, [local()])
        told_after = time.monotonic() - begun
        await until(lambda: bool(broker.trouble()), "the alarm was noticed")
        trouble = broker.trouble()
        gate.set()
        await until(lambda: len(desk.seen) >= 200, "the work went on under the alarm")

        await tell(rabbit, f"rabbit_alarm:clear_alarm({ALARM}).")
        await send_patiently(publisher, local(1000))
        await until(lambda: 1000 in desk.seen, "publishing went on")
        await until(lambda: broker.trouble() is None, "all was well again")
        consuming.cancel()

    assert told_after < 6
    assert "alarm" in str(trouble)


async def test_a_broker_that_has_lost_its_data_gets_its_roads_again(rabbit: RabbitMQ) -> None:
    desk, probes = Desk(), Probes()

    async with connect(rabbit.url, probes, "test") as broker, asyncio.TaskGroup() as group:
        await broker.wait_until_up()
        publisher = Publisher(broker)
        consuming = group.create_task(consume(broker, LOCAL, desk, beat=probes.progress(LOCAL)))
        await publisher.send(LOCAL, [local(1)])
        await until(lambda: desk.seen == [1], "the first had come")

        await kill(rabbit)
        shutil.rmtree(rabbit.data)
        await rabbit.start()
        await send_patiently(publisher, local(2))
        await until(lambda: desk.seen == [1, 2], "the second had come")
        consuming.cancel()

    assert await check(rabbit.url) == []
