"""How many a site gets at a time, what it does after "not now", and who is next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import pytest

from delivery_remote.pace import Crowded, Hall, Party, Shape, Site
from posthouse.mail.rates import Buckets, Rate

SECOND = timedelta(seconds=1)
SHAPE = Shape(sessions=8, pause=10 * SECOND)
ANNA, BERT, CARL = map(Party.of, ("anna@a.test", "bert@a.test", "carl@c.test"))


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def hall(clock: Clock) -> Hall:
    return Hall(places=4, clock=clock, buckets=Buckets(clock))


@pytest.fixture
def site(hall: Hall) -> Site:
    return hall.site("b.test", SHAPE)


@asynccontextmanager
async def _full(site: Site) -> AsyncIterator[AsyncExitStack]:
    """Take all slots of ``site``; they are given back when the stack is closed."""
    async with AsyncExitStack() as stack:
        while not site.is_crowded(ANNA) and site.active < int(site.limit):
            await stack.enter_async_context(site.slot(ANNA))
        yield stack


async def _line_up(site: Site, *parties: Party) -> tuple[list[str], list[asyncio.Task[None]]]:
    """Let ``parties`` wait at ``site``, one after the other; tell whose turn came, in order."""
    order: list[str] = []

    async def work(party: Party) -> None:
        async with site.slot(party):
            order.append(party.sender)

    tasks = []
    for party in parties:
        tasks.append(asyncio.create_task(work(party)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    return order, tasks


def test_the_limit_doubles_a_round_until_the_site_says_not_now(site: Site, clock: Clock) -> None:
    for _ in range(20):
        site.worked()
    assert site.limit == SHAPE.sessions

    site.strained("421 busy")
    assert site.limit == SHAPE.sessions / 2
    clock.now += 10
    site.worked()
    assert site.limit == 4.25


def test_it_never_gets_less_than_one_session(site: Site, clock: Clock) -> None:
    for _ in range(20):
        site.strained()
        clock.now += 10_000

    assert site.limit == 1


def test_pauses_double_up_to_an_hour_and_begin_anew_when_it_was_well_for_long(
    site: Site, clock: Clock
) -> None:
    pauses = []
    for _ in range(12):
        site.strained("421 busy")
        pauses.append(site.paused())
        clock.now += site.paused() + 1
    assert pauses[:4] == [10, 20, 40, 80]
    assert pauses[-1] == 3600

    clock.now += 3601
    site.worked()
    site.strained()

    assert site.paused() == 10


def test_those_that_hear_it_together_count_once(site: Site) -> None:
    for _ in range(5):
        site.strained("421 busy")

    assert site.limit == 2.5
    assert site.paused() == 10


def test_what_another_process_was_told_counts_here_once(site: Site, clock: Clock) -> None:
    site.strained_elsewhere(60, "421 busy")
    site.strained_elsewhere(60, "421 busy")

    assert (site.limit, site.paused(), site.trouble) == (2.5, 60, "421 busy")
    clock.now += 60
    site.strained_elsewhere(0, "421 busy")
    assert site.paused() == 0


def test_what_several_processes_use_is_shared_among_them(site: Site) -> None:
    site.pods = 3
    for _ in range(20):
        site.worked()

    assert site.share == 2
    assert site.limit == 2


async def test_nobody_begins_while_it_pauses(site: Site, clock: Clock) -> None:
    site.strained("421 busy")
    order, tasks = await _line_up(site, ANNA)
    assert not order

    clock.now += 10
    site._call()
    await asyncio.gather(*tasks)

    assert order == [ANNA.sender]


async def test_a_line_goes_on_by_itself_after_a_pause(hall: Hall) -> None:
    hall.clock = asyncio.get_running_loop().time
    site = hall.site("quick.test", Shape(pause=timedelta(milliseconds=50)))
    site.strained("421 busy")
    order, tasks = await _line_up(site, ANNA, BERT)

    async with asyncio.timeout(5):
        await asyncio.gather(*tasks)

    assert order == [ANNA.sender, BERT.sender]


async def test_a_rate_of_messages_is_kept_and_the_rest_waits(hall: Hall, clock: Clock) -> None:
    site = hall.site("slow.test", Shape(rate=Rate(2, 10 * SECOND)))
    order, tasks = await _line_up(site, ANNA, ANNA, ANNA)
    assert len(order) == 2

    clock.now += 5
    async with asyncio.timeout(5):
        await asyncio.gather(*tasks)

    assert len(order) == 3


async def test_without_room_for_a_new_session_nobody_begins(hall: Hall) -> None:
    site = hall.site("slow.test", Shape(connections=Rate(1, 1000 * SECOND)))
    site.count_session()
    _, tasks = await _line_up(site, ANNA)

    assert site.waiting == 1

    tasks[0].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert site.waiting == 0


async def test_tenants_take_turns_at_a_busy_site(site: Site) -> None:
    site.limit = 1
    async with _full(site):
        order, tasks = await _line_up(site, ANNA, ANNA, CARL)
    await asyncio.gather(*tasks)

    assert order == [ANNA.sender, CARL.sender, ANNA.sender]


async def test_when_the_hall_is_full_who_has_most_gives_way(site: Site, hall: Hall) -> None:
    site.limit = 1
    async with _full(site):
        order, tasks = await _line_up(site, ANNA, ANNA, ANNA, ANNA)
        assert site.is_crowded(ANNA)
        assert not site.is_crowded(CARL)

        more, others = await _line_up(site, CARL)

        assert hall.waiting == site.waiting == 4
        with pytest.raises(Crowded):
            await tasks[3]
        with pytest.raises(Crowded):
            async with site.slot(ANNA):
                pass
    await asyncio.gather(*tasks[:3], *others)
    assert (len(order), more) == (3, [CARL.sender])


async def test_the_longest_line_of_all_gives_way_to_another_site(site: Site, hall: Hall) -> None:
    other = hall.site("c.test", SHAPE)
    site.limit = other.limit = 1
    async with _full(site), _full(other):
        _, tasks = await _line_up(site, ANNA, ANNA, ANNA, ANNA)
        _, others = await _line_up(other, ANNA)

        assert (site.waiting, other.waiting) == (3, 1)
        with pytest.raises(Crowded):
            await tasks[3]
    await asyncio.gather(*tasks[:3], *others)


async def test_who_is_cancelled_in_the_line_leaves_no_trace(site: Site, hall: Hall) -> None:
    site.limit = 1
    async with _full(site):
        _, tasks = await _line_up(site, ANNA, BERT)
        tasks[0].cancel()
        await asyncio.gather(tasks[0], return_exceptions=True)

        assert hall.waiting == 1
    async with asyncio.timeout(1):
        await tasks[1]
    assert (site.active, hall.waiting) == (0, 0)


async def test_who_gives_up_when_called_hands_the_turn_on(site: Site) -> None:
    site.limit = 1
    async with _full(site) as holder:
        order, tasks = await _line_up(site, ANNA, BERT)
        await holder.aclose()
        tasks[0].cancel()

    async with asyncio.timeout(1):
        await tasks[1]
    assert order == [BERT.sender]
    assert site.active == 0


async def test_who_is_sent_back_stays_away_while_there_is_enough_to_do_without_it(
    site: Site, clock: Clock
) -> None:
    # One a second is begun, as far as anybody knows.
    delays = [site.sent_back().total_seconds() for _ in range(400)]

    assert [delays.count(each) for each in (5, 30, 60, 300)] == [30, 30, 240, 100]
    clock.now += 301
    assert site.sent_back() == timedelta(seconds=5)


async def test_what_is_unused_is_forgotten_and_what_pauses_is_not(hall: Hall, clock: Clock) -> None:
    hall.site("idle.test", SHAPE)
    hall.site("paused.test", SHAPE).pause(10_000)
    clock.now += 3601

    hall.forget(3600, {"b.test"})

    assert set(hall.sites) == {"paused.test"}
