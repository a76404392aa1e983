"""Rates on the real database: pods sum what they took, hear of it, forget, and are reset."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from posthouse.mail.rates import OVERFLOW, Key, Rate, Told
from posthouse.runtime.rates import SharedRates
from posthouse.storage import rates
from posthouse.storage.pool import Pool, open_pool

pytestmark = pytest.mark.integration

RATE = Rate(10, timedelta(minutes=10))
KEY: Key = ("192.0.2.1", "messages")
NEVER = timedelta(days=1)  # the test says itself when pods speak to each other


def taken(pod: SharedRates, times: int) -> int:
    return sum(pod.buckets.take(KEY, RATE) for _ in range(times))


async def test_two_pods_share_a_rate(pool: Pool) -> None:
    async with SharedRates(pool, every=NEVER) as one, SharedRates(pool, every=NEVER) as other:
        assert (taken(one, 6), taken(other, 3)) == (6, 3)
        await one.exchange()
        await other.exchange()
        assert taken(other, 5) == 1
        await other.exchange()
        assert one.buckets.has_room(KEY, RATE)  # it has not heard yet, and asks
        await one.exchange()
        assert (taken(one, 5), taken(other, 5)) == (0, 0)


async def test_pods_exchange_by_themselves(pool: Pool) -> None:
    every = timedelta(milliseconds=20)
    async with SharedRates(pool, every=every) as one, SharedRates(pool, every=every) as other:
        taken(one, 10)
        async with asyncio.timeout(10):
            while other.buckets.has_room(KEY, RATE):
                await pool.fetchval("select pg_sleep(0.01)")
        assert taken(other, 1) == 0


async def test_what_was_taken_last_is_told_at_the_end(pool: Pool) -> None:
    async with SharedRates(pool, every=NEVER) as pod:
        taken(pod, 7)

    (standing,) = await rates.standings(pool, ("", ""), 10)
    assert (standing.who, standing.what, standing.most) == ("192.0.2.1", "messages", 10)
    assert 6.9 < standing.count <= 7
    assert not standing.is_full


async def test_many_keys_go_in_one_statement_and_never_in_each_others_way(pool: Pool) -> None:
    keys: list[Key] = [(f"2001:db8:0:{n:x}::/64", "connections") for n in range(2000)]
    told = [Told(key, RATE, 60.0) for key in keys]

    for _ in range(3):
        await asyncio.gather(
            rates.exchange(pool, told),
            rates.exchange(pool, told[::-1]),
            rates.forget_empty(pool, 100),
        )
    left = await rates.exchange(pool, [Told(key, RATE, 0.0) for key in keys])

    assert len(left) == 2000
    assert all(350 < seconds <= 360 for seconds in left.values())


async def test_a_bucket_overflows_at_last(pool: Pool) -> None:
    lefts = [await rates.exchange(pool, [Told(KEY, RATE, 600.0)]) for _ in range(4)]

    assert [round(left[KEY] / 600.0) for left in lefts] == [1, 2, OVERFLOW, OVERFLOW]


async def test_asking_leaves_no_row_and_empty_rows_go(pool: Pool) -> None:
    assert await rates.exchange(pool, [Told(KEY, RATE, 0.0)]) == {}
    assert await pool.fetchval("select count(*) from rates") == 0

    await rates.exchange(pool, [Told(KEY, RATE, 600.0), Told(("a@b.test", "messages"), RATE, 1.0)])
    await pool.execute("update rates set empty_at = empty_at - interval '2 seconds'")
    assert await rates.forget_empty(pool, 100) == 1
    assert await pool.fetchval("select who from rates") == KEY[0]


@pytest.mark.parametrize(
    ("counted", "asked"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1", "::ffff:192.0.2.1"),
        ("192.0.0.0/20", "192.0.2.1"),
        ("2001:db8:0:7::/64", "2001:db8:0:7::99"),
        ("2001:db8:0:7::/64", "2001:db8:0:7::/64"),
        ("anna@example.test", "Anna@example.test"),
    ],
)
async def test_an_operator_finds_and_resets_a_client(pool: Pool, counted: str, asked: str) -> None:
    others = ("192.0.3.1", "192.0.16.0/20", "2001:db8:0:8::/64", "bert@example.test")
    told = [Told((who, "messages"), RATE, 600.0) for who in (counted, *others)]
    await rates.exchange(pool, told)

    (found,) = await rates.standings(pool, ("", ""), 10, who=asked)
    assert (found.who, found.is_full) == (counted, True)
    async with SharedRates(pool, every=NEVER) as pod:
        key = (counted, "messages")
        pod.buckets.has_room(key, RATE)
        await pod.exchange()
        assert not pod.buckets.take(key, RATE)

        assert await rates.reset(pool, asked) == 1
        await pod.exchange()
        assert pod.buckets.take(key, RATE)
    assert len(await rates.standings(pool, ("", ""), 3)) == 3


async def test_listings_go_page_by_page(pool: Pool) -> None:
    keys = [(who, what) for who in "abc" for what in ("messages", "recipients")]
    await rates.exchange(pool, [Told(key, RATE, 60.0) for key in keys])

    first = await rates.standings(pool, ("", ""), 4)
    rest = await rates.standings(pool, (first[-1].who, first[-1].what), 4)

    assert [(each.who, each.what) for each in (*first, *rest)] == keys


async def test_without_postgresql_each_pod_limits_by_itself_and_tells_later(pool: Pool) -> None:
    async with open_pool("postgresql://nobody@127.0.0.1:1/none") as away:
        pod = SharedRates(away, every=NEVER)
        assert taken(pod, 25) == 10
        await pod.exchange()
        assert taken(pod, 25) == 0
        told = pod.buckets.told()

    left = await rates.exchange(pool, told)
    assert 590 < left[KEY] <= 600


async def test_who_asks_at_once_does_not_wait_for_ever_and_it_is_told(pool: Pool) -> None:
    patience = timedelta(seconds=0.2)
    with capture_logs() as lines:
        async with (
            SharedRates(pool, every=NEVER, patience=patience) as pod,
            pool.session() as other,
        ):
            await other.execute("begin")
            await other.execute("lock table rates")
            taken(pod, 3)
            await pod.refresh()
            assert [(line["event"], line["reason"]) for line in lines] == [
                ("rates limited by this process alone", "no answer in 0.2 s")
            ]
            await other.execute("rollback")

            assert taken(pod, 20) == 7
            await pod.exchange()
            (standing,) = await rates.standings(pool, ("", ""), 10)
    assert lines[1]["event"] == "rates shared again"
    assert 9 < standing.count <= 13  # what was broken off may have been counted


async def test_what_is_asked_is_not_forgotten_before_the_answer(pool: Pool) -> None:
    await rates.exchange(pool, [Told(KEY, RATE, 600.0)])
    every = timedelta(seconds=0.01)
    async with SharedRates(pool, every=every) as pod, pool.session() as other:
        await other.execute("begin")
        await other.execute("lock table rates")
        assert pod.buckets.has_room(KEY, RATE)
        asking = asyncio.create_task(pod.refresh())
        await asyncio.sleep(20 * every.total_seconds())
        await other.execute("rollback")
        await asking

        assert not pod.buckets.has_room(KEY, RATE)
