"""Sites of several processes: they divide sessions, and one that is told "not now" tells the others."""

from __future__ import annotations

from datetime import timedelta
from typing import cast

import pytest

from delivery_remote.pace import Hall, Party, Shape
from delivery_remote.pace.sharing import Sharing
from posthouse.mail.errors import Unavailable
from posthouse.storage.pool import Pool
from posthouse.storage.sites import Use, exchange_uses, forget_uses

pytestmark = pytest.mark.integration

SHAPE = Shape(sessions=20, pause=timedelta(minutes=1))
NEVER = timedelta(hours=1)


class Away:
    """PostgreSQL that does not answer."""

    async def fetch(self, *_: object) -> None:
        raise Unavailable("storage is not available")


@pytest.fixture
def one(pool: Pool) -> Sharing:
    return Sharing(pool, Hall(), every=NEVER)


@pytest.fixture
def other(pool: Pool) -> Sharing:
    return Sharing(pool, Hall(), every=NEVER)


async def test_sessions_are_divided_among_those_who_use_the_site(
    one: Sharing, other: Sharing
) -> None:
    here, there = one._hall.site("google", SHAPE), other._hall.site("google", SHAPE)
    alone = one._hall.site("b.test", SHAPE)

    for sharing in (one, other, one):
        await sharing.exchange()

    assert (here.share, there.share, alone.share) == (10, 10, 20)


async def test_not_now_said_to_one_holds_for_all(one: Sharing, other: Sharing) -> None:
    here, there = one._hall.site("google", SHAPE), other._hall.site("google", SHAPE)
    before = there.limit
    here.strained("421 4.7.28 too much")

    await one.exchange()
    await other.exchange()

    assert 50 < there.paused() <= 60
    assert there.trouble == "421 4.7.28 too much"
    assert there.limit == before / 2
    await one.exchange()  # it hears its own words again
    assert here.paused() <= 60


async def test_who_uses_it_no_longer_is_not_counted(pool: Pool, one: Sharing) -> None:
    site = one._hall.site("google", SHAPE)
    await exchange_uses(pool, "gone", [Use("google", 0.0, "")])
    await pool.execute("update site_uses set used_until = now() - interval '1 second'")

    await one.exchange()

    assert site.share == 20


async def test_a_pause_outlives_the_process_that_was_told(pool: Pool, one: Sharing) -> None:
    site = one._hall.site("google", SHAPE)
    await exchange_uses(pool, "gone", [Use("google", 1000.0, "421 busy")])
    await pool.execute("update site_uses set used_until = now() - interval '1 second'")

    await one.exchange()

    assert site.share == 20
    assert 900 < site.paused() <= 1000


async def test_what_is_over_is_forgotten(pool: Pool) -> None:
    await exchange_uses(pool, "a", [Use("b.test", 0.0, ""), Use("c.test", 100.0, "421 busy")])
    await pool.execute(
        "update site_uses set used_until = now() - interval '1 second', "
        "paused_until = paused_until - interval '1 second'"
    )

    assert await forget_uses(pool, 10) == 1
    assert await pool.fetchval("select site from site_uses") == "c.test"


async def test_without_postgresql_each_goes_on_with_what_it_heard(pool: Pool, one: Sharing) -> None:
    site = one._hall.site("google", SHAPE)
    await exchange_uses(pool, "other", [Use("google", 0.0, "")])
    await one.exchange()
    one._pool = cast(Pool, Away())

    await one.exchange()

    assert site.share == 10
    async with site.slot(Party.of("anna@a.test")):
        pass
