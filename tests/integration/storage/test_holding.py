"""Held mail (RFC 4865): committed, on no road before its time, and then on it once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from posthouse.mail.envelope import Envelope
from posthouse.mail.handling import Handling
from posthouse.mail.ids import new_id
from posthouse.storage.backlog import backlog
from posthouse.storage.ledger import (
    NewMail,
    cancel,
    claim_unpublished,
    count_held,
    enter,
    held,
    iterate_unsettled,
    published,
    release_now,
)
from posthouse.storage.pool import Pool
from posthouse.storage.trace import timeline
from support.ledger import a_mail, states_of

pytestmark = pytest.mark.integration

HOUR = timedelta(hours=1)
FIRST = UUID(int=0)


def a_held_mail(hold: str = "for;3600", *, age: timedelta = timedelta()) -> NewMail:
    ident = new_id(int((datetime.now(UTC) - age).timestamp() * 1000))
    return a_mail("anna@example.test", ident=ident, handling=Handling(hold=hold))


async def rebuilt(pool: Pool) -> list[Envelope]:
    return [e async for envelopes in iterate_unsettled(pool, 100) for e in envelopes]


async def test_nobody_publishes_held_mail_before_its_time(pool: Pool) -> None:
    waiting, plain = a_held_mail(), a_mail()
    await enter(pool, [waiting, plain])
    await enter(pool, [waiting])  # whoever does not know whether it was committed repeats it

    assert await claim_unpublished(pool, timedelta(), 10) == [plain.envelope]
    assert await rebuilt(pool) == [plain.envelope]
    assert [one.id for one in await held(pool, "", FIRST, 10)] == [waiting.id]
    assert await states_of(pool, waiting.id) == {0: "accepted"}
    assert [(line.state, line.count) for line in await backlog(pool)] == [
        ("accepted", 1),
        ("held", 1),
    ]


async def test_its_time_has_come_and_it_is_published_however_fresh(pool: Pool) -> None:
    due = a_held_mail(age=HOUR)
    await enter(pool, [due, a_mail()])

    claimed = await claim_unpublished(pool, 2 * HOUR, 10)

    assert claimed == [due.envelope]
    assert claimed[0].released == due.release_at
    assert await held(pool, "", FIRST, 10) == []
    assert due.envelope in await rebuilt(pool)


async def test_a_sweeper_that_dies_leaves_it_to_the_next(pool: Pool) -> None:
    due = a_held_mail(age=HOUR)
    await enter(pool, [due])

    assert await claim_unpublished(pool, HOUR, 10) == [due.envelope]
    assert await claim_unpublished(pool, HOUR, 10) == []  # the first may live
    await pool.execute("update unpublished set since = now() - interval '2 hours'")
    assert await claim_unpublished(pool, HOUR, 10) == [due.envelope]
    await published(pool, [due.id])
    assert await claim_unpublished(pool, timedelta(), 10) == []


async def test_sweepers_at_the_same_time_release_each_mail_once(pool: Pool) -> None:
    mails = [a_held_mail(age=HOUR) for _ in range(100)]
    await enter(pool, mails)

    async def sweeper() -> list[UUID]:
        taken: list[UUID] = []
        while envelopes := await claim_unpublished(pool, HOUR, 7):
            taken += [envelope.id for envelope in envelopes]
        return taken

    taken = [ident for one in await asyncio.gather(*(sweeper() for _ in range(4))) for ident in one]

    assert sorted(taken) == sorted(mail.id for mail in mails)


async def test_a_date_that_is_over_holds_nothing(pool: Pool) -> None:
    mail = a_held_mail("until;2001-01-01T00:00:00Z")
    await enter(pool, [mail])

    assert mail.release_at is None
    assert await claim_unpublished(pool, timedelta(), 10) == [mail.envelope]


async def test_an_operator_starts_it_now_or_ends_it(pool: Pool) -> None:
    now, never = a_held_mail(), a_held_mail()
    await enter(pool, [now, never])

    assert await release_now(pool, now.id)
    assert await cancel(pool, never.id)

    assert not await release_now(pool, now.id)
    assert not await cancel(pool, now.id)
    assert not await cancel(pool, never.id)
    assert await claim_unpublished(pool, HOUR, 10) == [now.envelope]
    assert await states_of(pool, never.id) == {0: "discarded"}
    assert await rebuilt(pool) == [now.envelope]


async def test_the_trace_tells_until_when(pool: Pool) -> None:
    noon = int(datetime(2025, 11, 22, 12, tzinfo=UTC).timestamp() * 1000)
    mail = a_mail(ident=new_id(noon), handling=Handling(hold="for;3600", by="7200;NT"))
    await enter(pool, [mail])
    await release_now(pool, mail.id)

    found = await timeline(pool, mail.id)

    assert found is not None
    assert [(event.what, event.detail) for event in found.events[1:]] == [
        ("held", "until 2025-11-22T13:00:00Z"),
        ("deadline set", "2025-11-22T14:00:00Z, then its sender is told"),
        ("released by the operator", ""),
    ]


async def test_what_is_held_is_counted_by_account(pool: Pool) -> None:
    await enter(pool, [a_held_mail(), a_held_mail()])
    await pool.execute("update held set account = 'anna@example.test' where id = $1",
                       (await held(pool, "", FIRST, 1))[0].id)  # fmt: skip

    assert await count_held(pool, "anna@example.test") == (1, 2)
    assert await count_held(pool, "bert@example.test") == (0, 2)
    assert len(await held(pool, "anna@example.test", FIRST, 10)) == 1
