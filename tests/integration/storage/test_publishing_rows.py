"""Promise 5: from the ledger alone, everything that must be on the roads can be told."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from posthouse.mail.envelope import (
    Envelope,
    Inbound,
    InboundRecipient,
    Local,
    LocalRecipient,
    Remote,
)
from posthouse.mail.handling import Handling, Notify
from posthouse.mail.ids import new_id
from posthouse.mail.outcome import Deferred, Relayed
from posthouse.mail.status import LOCAL_ERROR
from posthouse.storage.ledger import (
    Branch,
    Expanded,
    Kept,
    claim_unpublished,
    enter,
    iterate_unsettled,
    mark_dead,
    published,
    publishing,
    routed,
    settle,
)
from posthouse.storage.pool import Pool, transaction
from support.ledger import a_mail

pytestmark = pytest.mark.integration

AT_ONCE = timedelta(0)
HOUR = timedelta(hours=1)
NOON_MS = 1_790_000_000_000  # any moment; ids of one millisecond have no order
DAY_MS = 24 * 3600 * 1000
LATER = datetime(2030, 1, 1, tzinfo=UTC)


async def everything(pool: Pool, batch: int = 100) -> list[Envelope]:
    return [e async for envelopes in iterate_unsettled(pool, batch) for e in envelopes]


async def test_what_was_published_does_not_come_up(pool: Pool) -> None:
    mails = [a_mail() for _ in range(3)]
    await enter(pool, mails)

    await published(pool, [mails[0].id, mails[2].id])

    assert await claim_unpublished(pool, AT_ONCE, 10) == [mails[1].envelope]


async def test_what_the_sender_asked_for_comes_up_again(pool: Pool) -> None:
    asked = a_mail(
        handling=Handling(envid="QQ+3D1", ret="FULL", requiretls=True, by="-3;NT"),
        notify=Notify(on="SUCCESS,DELAY", orcpt="rfc822;Anna@Far.test"),
    )
    plain = a_mail()
    await enter(pool, [asked, plain])

    claimed = await claim_unpublished(pool, AT_ONCE, 10)
    unsettled = await everything(pool)

    for found in (claimed, unsettled):  # in the order of their ids, so within a millisecond any
        assert len(found) == 2
        assert asked.envelope in found
        assert plain.envelope in found


async def test_fresh_mail_is_left_to_its_acceptor(pool: Pool) -> None:
    await enter(pool, [a_mail()])

    assert await claim_unpublished(pool, HOUR, 10) == []


async def test_a_claim_is_for_one_sweeper_until_it_grows_old_again(pool: Pool) -> None:
    mail = a_mail()
    await enter(pool, [mail])
    await pool.execute("update unpublished set since = now() - interval '2 hours'")

    first = await claim_unpublished(pool, HOUR, 10)
    second = await claim_unpublished(pool, HOUR, 10)
    await pool.execute("update unpublished set since = now() - interval '2 hours'")
    third = await claim_unpublished(pool, HOUR, 10)

    assert (first, second, third) == ([mail.envelope], [], [mail.envelope])


async def test_sweepers_at_the_same_time_take_each_mail_once(pool: Pool) -> None:
    mails = [a_mail() for _ in range(200)]
    await enter(pool, mails)
    await pool.execute("update unpublished set since = now() - interval '2 hours'")

    async def sweeper() -> list[UUID]:
        taken: list[UUID] = []
        while envelopes := await claim_unpublished(pool, HOUR, 7):
            taken += [envelope.id for envelope in envelopes]
        return taken

    taken = [ident for one in await asyncio.gather(*(sweeper() for _ in range(6))) for ident in one]

    assert sorted(taken) == sorted(mail.id for mail in mails)


async def test_a_sweeper_does_not_wait_for_another(pool: Pool) -> None:
    mails = [a_mail(ident=new_id(NOON_MS + k)) for k in range(3)]
    await enter(pool, mails)

    async with transaction(pool) as other, asyncio.timeout(10):
        await other.execute("select from unpublished where id = $1 for update", mails[0].id)
        claimed = await claim_unpublished(pool, AT_ONCE, 10)

    assert claimed == [mails[1].envelope, mails[2].envelope]


async def test_what_was_routed_meanwhile_had_been_published_after_all(pool: Pool) -> None:
    mail = a_mail("a@far.test", "b@far.test")
    await enter(pool, [mail])
    to = Branch(road="remote", address="a@far.test", domain="far.test")
    await routed(pool, [(mail.id, Kept(0, to)), (mail.id, Kept(1, to))])

    assert await claim_unpublished(pool, AT_ONCE, 10) == []
    assert await pool.fetchval("select count(*) from unpublished") == 0


async def test_a_lost_broker_is_rebuilt_from_what_is_open(pool: Pool) -> None:
    fresh, local, remote, done, dead = (
        a_mail("a@example.test", "b@example.test", ident=new_id(NOON_MS + k)) for k in range(5)
    )
    await enter(pool, [fresh, local, remote, done, dead])
    await routed(
        pool,
        [
            (local.id, Kept(0, Branch(road="local", address="a@example.test", account=4, folder="x"))),
            (local.id, Expanded(1, (
                Branch(road="remote", address="b@far.test", domain="far.test", sender="srs@example.test"),
                Branch(road="local", address="c@example.test", account=5),
            ))),
            (remote.id, Kept(0, Branch(road="remote", address="a@far.test", domain="far.test"))),
            (remote.id, Kept(1, Branch(road="remote", address="b@near.test", domain="near.test"))),
        ],
    )  # fmt: skip
    await settle(pool, remote.id, [Deferred(n=0, status=LOCAL_ERROR, reply="", until=LATER)], 3)
    ends = [Relayed(n=n, host="h", reply="r") for n in (0, 1)]
    await settle(pool, done.id, ends, 1)
    await mark_dead(pool, dead.id, "a bug")

    rebuilt = await everything(pool)

    assert rebuilt == [
        fresh.envelope,
        Local(id=local.id, sender="carl@far.test", size=4096, recipients=(
            LocalRecipient(n=0, address="a@example.test", account=4, folder="x"),
            LocalRecipient(n=3, address="c@example.test", account=5),
        )),
        Remote(id=local.id, sender="srs@example.test", size=4096, domain="far.test",
               recipients=(InboundRecipient(n=2, address="b@far.test"),)),
        Remote(id=remote.id, sender="carl@far.test", size=4096, domain="far.test", attempts=3,
               recipients=(InboundRecipient(n=0, address="a@far.test"),)),
        Remote(id=remote.id, sender="carl@far.test", size=4096, domain="near.test",
               recipients=(InboundRecipient(n=1, address="b@near.test"),)),
    ]  # fmt: skip


@pytest.mark.parametrize("stretch", [1, 2, 3, 7, 1000])
async def test_rebuilding_misses_and_doubles_nothing_wherever_stretches_end(
    pool: Pool, monkeypatch: pytest.MonkeyPatch, stretch: int
) -> None:
    monkeypatch.setattr(publishing, "STRETCH_ROWS", stretch)
    mails = [
        a_mail(*(f"u{n}@far.test" for n in range(3)), ident=new_id(NOON_MS + k * DAY_MS))
        for k in range(8)
    ]
    await enter(pool, mails)
    for k, mail in enumerate(mails[:7]):  # of each another pattern is settled
        ends = [Relayed(n=n, host="h", reply="r") for n in range(3) if k >> n & 1]
        await settle(pool, mail.id, ends, 1)

    rebuilt = await everything(pool, batch=2)

    assert all(isinstance(envelope, Inbound) for envelope in rebuilt)
    assert [(e.id, [r.n for r in e.recipients]) for e in rebuilt] == [
        (mail.id, [n for n in range(3) if k == 7 or not k >> n & 1]) for k, mail in enumerate(mails)
    ]
