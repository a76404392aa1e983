"""The roads as data."""

from datetime import timedelta

import pytest

from posthouse.bus import topology
from posthouse.bus.topology import (
    DEAD_QUEUES,
    DELAYS,
    EXCHANGES,
    QUEUES,
    REMOTE_ROADS,
    REMOTE_SHARDS,
    ROADS,
    dead_queue,
    remote_road,
    road_of,
    wait_exchange,
)
from posthouse.mail.envelope import Inbound, InboundRecipient, Local, LocalRecipient, Remote
from posthouse.mail.ids import new_id

BY_NAME = {queue.name: queue for queue in QUEUES}
TO = (InboundRecipient(n=1, address="bert@example.test"),)


def test_every_road_has_a_parking_place_that_is_declared_before_it() -> None:
    order = [queue.name for queue in QUEUES]

    for road in ROADS:
        dead = BY_NAME[dead_queue(road)]
        assert BY_NAME[road].arguments["x-dead-letter-routing-key"] == dead.key
        assert BY_NAME[road].arguments["x-dead-letter-exchange"] == dead.exchange
        assert order.index(dead.name) < order.index(road)


def test_every_queue_is_bound_to_a_declared_exchange_and_every_dead_letter_goes_to_one() -> None:
    declared = {exchange.name for exchange in EXCHANGES}

    for queue in QUEUES:
        assert queue.exchange in declared
        assert queue.arguments.get("x-dead-letter-exchange", "roads") in declared
        assert queue.declaration["x-queue-type"] == "quorum"


def test_what_is_dead_lettered_leaves_its_queue_only_when_the_target_has_it() -> None:
    for queue in QUEUES:
        if "x-dead-letter-exchange" in queue.arguments:
            assert queue.arguments["x-dead-letter-strategy"] == "at-least-once"
            assert queue.arguments["x-overflow"] == "reject-publish"  # its precondition


def test_no_queue_leaves_the_delivery_limit_to_the_broker() -> None:
    for name in (*ROADS, *DEAD_QUEUES):
        assert "x-delivery-limit" in BY_NAME[name].arguments
        assert "x-message-ttl" not in BY_NAME[name].arguments


def test_only_the_shards_have_a_single_active_consumer() -> None:
    alone = {queue.name for queue in QUEUES if "x-single-active-consumer" in queue.arguments}

    assert alone == set(REMOTE_ROADS)


def test_the_shards_share_one_parking_place() -> None:
    assert DEAD_QUEUES == ("mail.inbound.dead", "mail.local.dead", "mail.remote.dead")


@pytest.mark.parametrize(
    ("delay", "exchange"),
    [
        (timedelta(), "wait.5s"),
        (timedelta(seconds=5), "wait.5s"),
        (timedelta(seconds=29), "wait.5s"),
        (timedelta(minutes=5), "wait.5m"),
        (timedelta(minutes=90), "wait.1h"),
        (timedelta(days=3), "wait.4h"),
    ],
)
def test_a_delay_takes_the_longest_wait_that_is_not_longer(delay: timedelta, exchange: str) -> None:
    assert wait_exchange(delay) == exchange


def test_every_delay_has_its_queue_with_its_time() -> None:
    for delay in DELAYS:
        queue = BY_NAME[wait_exchange(delay)]
        assert queue.arguments["x-message-ttl"] == delay.total_seconds() * 1000
        assert "x-dead-letter-routing-key" not in queue.arguments  # the road's key is kept


def test_a_domain_keeps_its_shard_for_ever() -> None:
    assert remote_road("example.org") == "mail.remote.7"
    assert remote_road("EXAMPLE.org") == "mail.remote.7"
    assert remote_road("example.com") == "mail.remote.1"


def test_the_shards_are_all_used() -> None:
    assert len({remote_road(f"host{n}.example") for n in range(500)}) == REMOTE_SHARDS


def test_an_envelope_knows_its_road() -> None:
    one = new_id()
    local = (LocalRecipient(n=1, address="bert@example.test", account=1),)
    remote = Remote(id=one, sender="", size=1, recipients=TO, domain="example.org")

    assert road_of(Inbound(id=one, sender="", size=1, recipients=TO)) == "mail.inbound"
    assert road_of(Local(id=one, sender="", size=1, recipients=local)) == "mail.local"
    assert road_of(remote) == remote_road("example.org")


def test_every_road_names_the_kind_that_travels_on_it() -> None:
    assert set(topology.KIND_ON) == set(ROADS)
