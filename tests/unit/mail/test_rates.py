"""Buckets: so many at once, then one each pace; sums of several processes; never too many."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.rates import OVERFLOW, UNLIMITED, Buckets, Key, Rate, Told

RATE = Rate(10, timedelta(seconds=100))
KEY: Key = ("192.0.2.1", "messages")


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def taken(buckets: Buckets, times: int, key: Key = KEY) -> int:
    return sum(buckets.take(key, RATE) for _ in range(times))


def test_so_many_at_once_and_then_one_each_pace() -> None:
    clock = Clock()
    buckets = Buckets(clock)

    assert taken(buckets, 25) == 10
    assert taken(buckets, 25, ("192.0.2.2", "messages")) == 10
    clock.now += 10
    assert taken(buckets, 5) == 1
    clock.now += 1000
    assert taken(buckets, 25) == 10


def test_who_is_refused_is_not_counted() -> None:
    clock = Clock()
    buckets = Buckets(clock)
    taken(buckets, 10_000)

    clock.now += RATE.period.total_seconds()
    assert taken(buckets, 100) == 10


def test_without_limit_nothing_is_kept() -> None:
    buckets = Buckets()

    assert all(buckets.take(KEY, UNLIMITED) for _ in range(100))
    assert buckets.add(KEY, UNLIMITED) == 0
    assert buckets.has_room(KEY, UNLIMITED)
    assert (buckets.size, buckets.told()) == (0, [])


def test_what_is_added_needs_no_room_and_has_an_end() -> None:
    clock = Clock()
    buckets = Buckets(clock)

    assert [buckets.add(KEY, RATE) for _ in range(3)] == [1, 2, 3]
    assert buckets.has_room(KEY, RATE)
    assert buckets.add(KEY, RATE, 1_000_000) == OVERFLOW * RATE.most
    assert not buckets.has_room(KEY, RATE)
    clock.now += OVERFLOW * RATE.period.total_seconds() - RATE.pace * 9
    assert buckets.has_room(KEY, RATE)


def test_what_was_taken_is_told_once() -> None:
    buckets = Buckets(Clock())
    taken(buckets, 3)
    buckets.has_room(("192.0.2.9", "failures"), RATE)

    assert buckets.told() == [Told(KEY, RATE, 30.0), Told(("192.0.2.9", "failures"), RATE, 0.0)]
    assert buckets.told() == []
    taken(buckets, 1)
    assert buckets.told() == [Told(KEY, RATE, 10.0)]


def test_what_was_not_heard_is_told_again_without_what_has_run_out() -> None:
    clock = Clock()
    buckets = Buckets(clock)
    taken(buckets, 3)
    buckets.untold(buckets.told())
    taken(buckets, 1)

    clock.now += 15
    assert buckets.told() == [Told(KEY, RATE, 25.0)]
    buckets.untold([Told(("198.51.100.1", "messages"), RATE, 5.0)])  # forgotten meanwhile
    assert buckets.told() == []


def test_what_others_took_is_believed() -> None:
    clock = Clock()
    here = Buckets(clock)
    told = []
    taken(here, 2)
    told += here.told()
    taken(here, 1)  # while the answer is under way

    here.learn(told, {KEY: 70.0})
    assert taken(here, 10) == 2

    told = here.told()
    here.learn(told, {})  # an operator has reset it
    assert taken(here, 20) == 10


def test_what_one_process_keeps_and_tells_is_bounded() -> None:
    clock = Clock()
    buckets = Buckets(clock, max_keys=50)
    for n in range(200):
        taken(buckets, 1, (f"2001:db8:0:{n:x}::/64", "connections"))
    assert buckets.size == 50
    assert len(buckets.told(20)) == 20
    assert len(buckets.told(100)) == 30

    buckets.add(("a", "failures"), RATE, 20)
    buckets.told()
    taken(buckets, 1)
    clock.now += RATE.pace
    buckets.forget_empty()
    assert buckets.size == 2  # one is to be told, one is full
    buckets.told()
    buckets.forget_empty()
    assert buckets.size == 1


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 30), st.floats(0, 40)), max_size=30))
def test_three_processes_never_exceed_the_rate_by_more_than_an_exchange(
    visits: list[tuple[int, int, float]],
) -> None:
    clock = Clock()
    pods, empty_at = [Buckets(clock) for _ in range(3)], 0.0
    began, total = clock.now, 0
    for pod, attempts, pause in visits:
        total += taken(pods[pod], attempts)
        for each in pods:  # as storage.rates.exchange does
            told = each.told()
            empty_at = max(empty_at, clock.now) + sum(one.seconds for one in told)
            each.learn(told, {one.key: empty_at - clock.now for one in told})
        clock.now += pause
        # Others' takings are heard of by who asks: so one exchange late, once per process.
        most = RATE.most * len(pods) + (clock.now - began) / RATE.pace
        assert total <= most + len(pods)
