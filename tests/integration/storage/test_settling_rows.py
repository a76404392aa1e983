"""Promises 3 and 4: a recipient ends once, and what ended stays."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from posthouse.mail.outcome import Bounced, Deferred, Discarded, Relayed
from posthouse.mail.status import NO_SUCH_USER, Status
from posthouse.storage.ledger import (
    Branch,
    Kept,
    Settlement,
    enter,
    mark_dead,
    revive,
    routed,
    settle,
    settle_many,
    unsettled,
)
from posthouse.storage.pool import Pool, transaction
from support.ledger import a_mail, rows_of, states_of

pytestmark = pytest.mark.integration

SOON = datetime(2030, 1, 1, tzinfo=UTC)
BUSY = Status(450, (4, 2, 0))


def deferred(n: int = 0, until: datetime = SOON) -> Deferred:
    return Deferred(n=n, status=BUSY, reply="450 4.2.0 busy", host="mx.far.test", until=until)


async def test_each_outcome_leaves_its_state(pool: Pool) -> None:
    mail = a_mail("a@far.test", "b@far.test", "c@far.test", "d@far.test", "e@far.test")
    await enter(pool, [mail])

    changed = await settle(
        pool,
        mail.id,
        [
            Relayed(n=0, host="mx.far.test", reply="250 queued"),
            deferred(1),
            Bounced(n=2, status=NO_SUCH_USER, reply="550 unknown", host="mx.far.test"),
            Discarded(n=3, rule="double bounce"),
        ],
        attempts=1,
    )

    rows = await rows_of(pool, mail.id)
    assert changed == {0, 1, 2, 3}
    assert {n: row["state"] for n, row in rows.items()} == {
        0: "relayed", 1: "deferred", 2: "bounced", 3: "discarded", 4: "accepted",
    }  # fmt: skip
    assert [n for n, row in rows.items() if row["settled_at"] is not None] == [0, 2, 3]
    assert (rows[0]["host"], rows[0]["reply"]) == ("mx.far.test", "250 queued")
    assert (rows[1]["next_attempt_at"], rows[1]["attempts"]) == (SOON, 1)
    assert (rows[2]["status"], rows[3]["reply"]) == ("550 5.1.1", "double bounce")
    assert await unsettled(pool, mail.id, [0, 1, 2, 3, 4, 99]) == {1, 4}


async def test_settling_twice_changes_nothing_the_second_time(pool: Pool) -> None:
    mail = a_mail("a@far.test")
    await enter(pool, [mail])
    await settle(pool, mail.id, [Relayed(n=0, host="mx1", reply="first")], 1)

    again = await settle(
        pool, mail.id, [Bounced(n=0, status=NO_SUCH_USER, reply="second")], 2, [a_mail()]
    )

    assert again == set()
    assert (await rows_of(pool, mail.id))[0]["reply"] == "first"
    assert await pool.fetchval("select count(*) from envelopes") == 1  # no report either


async def test_many_who_settle_the_same_recipients_settle_each_once(pool: Pool) -> None:
    mails = [a_mail(*(f"u{n}@far.test" for n in range(5))) for _ in range(10)]
    await enter(pool, mails)

    async def pod(k: int) -> list[tuple[object, int]]:
        changed = await settle_many(
            pool,
            [
                Settlement(
                    id=mail.id,
                    outcomes=tuple(Relayed(n=n, host=f"pod{k}", reply="ok") for n in range(5)),
                    attempts=1,
                )
                for mail in (mails if k % 2 else reversed(mails))
            ],
        )
        return [(ident, n) for ident, ns in changed.items() for n in ns]

    done = await asyncio.gather(*(pod(k) for k in range(8)))

    everything = [key for keys in done for key in keys]
    assert len(everything) == len(set(everything)) == 50


async def test_a_report_enters_with_the_bounce_and_only_once(pool: Pool) -> None:
    mail, report = a_mail("a@far.test"), a_mail("carl@far.test", sender="")
    await enter(pool, [mail])
    bounced = [Bounced(n=0, status=NO_SUCH_USER, reply="550 unknown")]

    await asyncio.gather(
        settle(pool, mail.id, bounced, 1, [report]),
        settle(pool, mail.id, bounced, 1, [a_mail("carl@far.test", sender="")]),
    )

    reports = await pool.fetch("select id from envelopes where sender = ''")
    assert len(reports) == 1
    assert await pool.fetchval("select count(*) from unpublished") == 2


async def test_a_deferral_repeated_after_a_crash_counts_and_an_older_one_does_not(
    pool: Pool,
) -> None:
    mail = a_mail("a@far.test")
    await enter(pool, [mail])
    assert await settle(pool, mail.id, [deferred()], 1) == {0}

    repeated = await settle(pool, mail.id, [deferred(until=SOON + timedelta(hours=1))], 1)
    next_one = await settle(pool, mail.id, [deferred()], 2)
    doubled = await settle(pool, mail.id, [deferred()], 1)

    assert (repeated, next_one, doubled) == ({0}, {0}, set())
    assert (await rows_of(pool, mail.id))[0]["attempts"] == 2


async def test_an_end_counts_whatever_the_attempts_say(pool: Pool) -> None:
    mail = a_mail("a@far.test")
    await enter(pool, [mail])
    await settle(pool, mail.id, [deferred()], 5)

    assert await settle(pool, mail.id, [Relayed(n=0, host="mx", reply="ok")], 2) == {0}

    row = (await rows_of(pool, mail.id))[0]
    assert (row["attempts"], row["next_attempt_at"]) == (5, None)


async def test_a_sender_is_warned_once(pool: Pool) -> None:
    mail = a_mail("a@far.test")
    await enter(pool, [mail])

    for attempts in (1, 1, 2):
        warning = a_mail("carl@far.test", sender="")
        changed = await settle(pool, mail.id, [deferred()], attempts, [warning], warned=True)
        assert changed == {0}

    assert await pool.fetchval("select count(*) from envelopes where sender = ''") == 1
    assert (await rows_of(pool, mail.id))[0]["warned"]


async def test_nothing_to_settle_changes_nothing(pool: Pool) -> None:
    mail = a_mail()
    await enter(pool, [mail])

    assert await settle(pool, mail.id, [], 1) == set()
    assert await settle_many(pool, []) == {}
    assert await settle(pool, a_mail().id, [Relayed(n=0, host="h", reply="r")], 1) == set()


async def test_the_dead_are_open_but_rest(pool: Pool) -> None:
    mail = a_mail("a@far.test", "b@far.test", "c@far.test")
    await enter(pool, [mail])
    await settle(pool, mail.id, [Relayed(n=0, host="h", reply="r")], 1)
    to = Branch(road="remote", address="b@far.test", domain="far.test")
    await routed(pool, [(mail.id, Kept(1, to))])
    await settle(pool, mail.id, [deferred(1)], 1)

    assert await mark_dead(pool, mail.id, "handler raised again and again") == 2
    assert await states_of(pool, mail.id) == {0: "relayed", 1: "dead", 2: "dead"}
    assert await unsettled(pool, mail.id, [0, 1, 2]) == {1, 2}

    every = [(mail.id, n) for n in range(3)]
    for alive, places in (({1}, every[:2]), ({2}, every), (set(), every)):
        async with transaction(pool) as tx:
            risen = await revive(tx, places)
        assert {n for _, n in risen.due} == alive
    assert await states_of(pool, mail.id) == {0: "relayed", 1: "deferred", 2: "accepted"}


async def test_a_dead_recipient_can_still_end(pool: Pool) -> None:
    mail = a_mail("a@far.test")
    await enter(pool, [mail])
    await mark_dead(pool, mail.id, "a bug")

    assert await settle(pool, mail.id, [Relayed(n=0, host="h", reply="r")], 1) == {0}
    assert await mark_dead(pool, mail.id, "too late") == 0
