"""`broker check`: it finds what is wrong and changes nothing; declaring mends what it can."""

import pytest

from posthouse.bus.check import check, declare
from posthouse.bus.connection import Broker, connect
from posthouse.mail.errors import Unavailable
from posthouse.telemetry.probes import Probes
from support.roads import Management

pytestmark = pytest.mark.integration


async def test_declared_roads_are_found_in_order(broker: Broker, broker_url: str) -> None:
    assert broker.trouble() is None
    assert await check(broker_url) == []


async def test_an_empty_broker_misses_everything_and_stays_empty(
    broker_url: str,
) -> None:
    first = await check(broker_url)
    second = await check(broker_url)

    assert len(first) == len(second) > 20
    assert all("missing" in finding.problem for finding in second)


async def test_a_missing_queue_is_named_and_declared_again(
    broker: Broker, broker_url: str, management: Management
) -> None:
    await management.delete_queue("wait.5m")
    await management.delete_exchange("mailbox.events")

    found = await check(broker_url)
    refused = await declare(broker)

    assert sorted(finding.name for finding in found) == ["mailbox.events", "wait.5m"]
    assert refused == []
    assert await check(broker_url) == []


async def test_a_missing_binding_is_mended_by_declaring(
    broker: Broker, management: Management
) -> None:
    await management.delete_exchange("wait.1m")  # the queue stays, its binding goes

    await declare(broker)

    assert [one["source"] for one in await management.bindings("wait.1m")] == ["", "wait.1m"]


async def test_a_queue_with_other_arguments_is_named_by_check_readiness_and_declare(
    broker_url: str, management: Management, probes: Probes
) -> None:
    await management.declare_queue("mail.local", {"x-queue-type": "quorum"})

    async with connect(broker_url, probes, "test") as broker:
        await broker.wait_until_up()
        (finding,) = await check(broker_url)
        (trouble,) = probes.troubles()

    assert finding.name == "mail.local"
    assert "exists with other arguments" in finding.problem
    assert trouble.startswith("broker: mail.local: this queue exists with other arguments")


async def test_the_rest_is_declared_beside_a_queue_with_other_arguments(
    broker_url: str, management: Management, probes: Probes
) -> None:
    await management.declare_queue("mail.inbound.dead", {})  # a classic queue, the first of all

    async with connect(broker_url, probes, "test") as broker:
        await broker.wait_until_up()

    assert [finding.name for finding in await check(broker_url)] == ["mail.inbound.dead"]


async def test_without_a_broker_the_check_says_so() -> None:
    with pytest.raises(Unavailable):
        await check("amqp://guest:guest@127.0.0.1:1/")
