"""Routing is decided once: the first commit stands, whoever comes later reads it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import pytest

from posthouse.mail.outcome import Deferred, Relayed
from posthouse.mail.status import LOCAL_ERROR
from posthouse.storage.ledger import (
    Branch,
    Decision,
    Expanded,
    Kept,
    Standing,
    enter,
    mark_dead,
    routed,
    settle,
)
from posthouse.storage.pool import Pool, transaction
from support.ledger import a_mail, rows_of, states_of

pytestmark = pytest.mark.integration


def local(address: str, account: int = 7) -> Branch:
    return Branch(road="local", address=address, account=account)


def remote(address: str, sender: str | None = None) -> Branch:
    return Branch(road="remote", address=address, domain=address.rpartition("@")[2], sender=sender)


async def test_a_kept_recipient_goes_its_way(pool: Pool) -> None:
    mail = a_mail("anna+lists@example.test", "x@far.test")
    await enter(pool, [mail])

    stand = await routed(
        pool,
        [
            (
                mail.id,
                Kept(
                    0, Branch(road="local", address="anna@example.test", account=7, folder="lists")
                ),
            ),
            (mail.id, Kept(1, remote("x@far.test"))),
        ],
    )

    assert stand == {
        mail.id: (
            Standing(n=0, address="anna@example.test", state="routed", road="local", account=7, folder="lists"),
            Standing(n=1, address="x@far.test", state="routed", road="remote", domain="far.test"),
        )
    }  # fmt: skip
    assert await states_of(pool, mail.id) == {0: "routed", 1: "routed"}


async def test_a_second_decision_does_not_undo_the_first(pool: Pool) -> None:
    mail = a_mail()
    await enter(pool, [mail])
    first = await routed(pool, [(mail.id, Kept(0, local("anna@example.test", account=7)))])

    again = await routed(pool, [(mail.id, Kept(0, remote("elsewhere@far.test")))])

    assert again == first


async def test_an_expansion_replaces_the_recipient_by_its_children(pool: Pool) -> None:
    mail = a_mail("team@example.test", "anna@example.test")
    await enter(pool, [mail])

    stand = await routed(
        pool,
        [
            (mail.id, Expanded(0, (local("bert@example.test"), remote("x@far.test", "srs@example.test")))),
            (mail.id, Kept(1, local("anna@example.test"))),
        ],
    )  # fmt: skip

    rows = await rows_of(pool, mail.id)
    assert [(s.n, s.address) for s in stand[mail.id]] == [
        (1, "anna@example.test"), (2, "bert@example.test"), (3, "x@far.test"),
    ]  # fmt: skip
    assert (rows[0]["state"], rows[0]["settled_at"] is None) == ("expanded", False)
    assert [(rows[n]["parent"], rows[n]["state"]) for n in (2, 3)] == [(0, "routed"), (0, "routed")]
    assert rows[3]["sender"] == "srs@example.test"


async def test_expanding_twice_yields_the_same_children(pool: Pool) -> None:
    mail = a_mail("team@example.test")
    await enter(pool, [mail])
    decision = Expanded(0, (local("anna@example.test"), local("bert@example.test", 8)))
    first = await routed(pool, [(mail.id, decision)])

    again = await routed(pool, [(mail.id, decision)])
    changed = await routed(pool, [(mail.id, Expanded(0, (local("new@example.test", 9),)))])

    assert first == again == changed
    assert len(await rows_of(pool, mail.id)) == 3


async def test_what_is_settled_does_not_come_back(pool: Pool) -> None:
    mail = a_mail("team@example.test")
    await enter(pool, [mail])
    decision = Expanded(0, (remote("x@far.test"), remote("y@far.test")))
    await routed(pool, [(mail.id, decision)])
    await settle(pool, mail.id, [Relayed(n=1, host="mx", reply="ok")], 1)

    stand = await routed(pool, [(mail.id, decision)])

    assert [s.n for s in stand[mail.id]] == [2]

    await settle(pool, mail.id, [Relayed(n=2, host="mx", reply="ok")], 1)

    assert await routed(pool, [(mail.id, decision)]) == {}


async def test_what_waits_for_its_next_attempt_is_not_sent_on_again(pool: Pool) -> None:
    mail = a_mail("x@far.test", "y@far.test", "z@far.test")
    await enter(pool, [mail])
    decisions = [(mail.id, Kept(n, remote(f"{n}@far.test"))) for n in range(3)]
    await routed(pool, decisions)
    later = datetime(2030, 1, 1, tzinfo=UTC)
    await settle(pool, mail.id, [Deferred(n=0, status=LOCAL_ERROR, reply="", until=later)], 1)
    await mark_dead(pool, mail.id, "a bug", [1])

    stand = await routed(pool, decisions)

    assert [s.n for s in stand[mail.id]] == [2]


async def test_a_child_that_is_a_recipient_already_is_not_added_again(pool: Pool) -> None:
    mail = a_mail("team@example.test", "Anna@example.test", "crew@example.test")
    await enter(pool, [mail])

    stand = await routed(
        pool,
        [
            (mail.id, Expanded(0, (local("anna@example.test"), local("bert@example.test")))),
            (mail.id, Kept(1, local("Anna@example.test"))),
            (mail.id, Expanded(2, (local("BERT@example.test"), local("anna@example.test")))),
        ],
    )

    assert [(s.n, s.address) for s in stand[mail.id]] == [
        (1, "Anna@example.test"), (3, "bert@example.test"),
    ]  # fmt: skip


async def test_an_address_that_stands_for_itself_too_keeps_its_copy(pool: Pool) -> None:
    mail = a_mail("anna@example.test")
    await enter(pool, [mail])

    stand = await routed(
        pool, [(mail.id, Expanded(0, (local("anna@example.test"), remote("a@far.test"))))]
    )

    assert [(s.n, s.address) for s in stand[mail.id]] == [
        (1, "anna@example.test"), (2, "a@far.test"),
    ]  # fmt: skip


async def test_many_pods_that_route_the_same_mail_decide_it_once(pool: Pool) -> None:
    mails = [a_mail("team@example.test", "x@far.test") for _ in range(10)]
    await enter(pool, mails)

    async def pod(k: int) -> dict[UUID, tuple[Standing, ...]]:
        decisions: list[tuple[UUID, Decision]] = []
        for mail in mails if k % 2 else reversed(mails):
            children = tuple(remote(f"child{c}-of-pod{k}@far.test") for c in range(3))
            decisions += [
                (mail.id, Expanded(0, children)),
                (mail.id, Kept(1, remote(f"x{k}@far.test"))),
            ]
        return await routed(pool, decisions)

    answers = await asyncio.gather(*(pod(k) for k in range(8)))

    assert all(answer == answers[0] for answer in answers)
    for mail in mails:
        rows = await rows_of(pool, mail.id)
        assert sorted(rows) == [0, 1, 2, 3, 4]
        assert {s.n: s.address for s in answers[0][mail.id]} == {
            n: rows[n]["address"] for n in (1, 2, 3, 4)
        }


async def test_many_pods_that_keep_the_same_mail_wait_but_never_for_each_other(pool: Pool) -> None:
    mails = [a_mail("x@far.test") for _ in range(400)]
    await enter(pool, mails)
    await asyncio.gather(*(pool.fetch("select pg_sleep(0.1)") for _ in range(8)))  # all connected

    async def pod(k: int) -> dict[UUID, tuple[Standing, ...]]:
        ordered = mails if k % 2 else list(reversed(mails))
        return await routed(pool, [(m.id, Kept(0, remote(f"x{k}@far.test"))) for m in ordered])

    answers = await asyncio.gather(*(pod(k) for k in range(8)))

    assert all(answer == answers[0] for answer in answers)
    assert len(answers[0]) == 400


async def test_parts_of_one_mail_expanded_at_the_same_time_get_different_numbers(
    pool: Pool,
) -> None:
    mail = a_mail(*(f"list{n}@example.test" for n in range(6)))
    await enter(pool, [mail])

    await asyncio.gather(
        *(
            routed(
                pool, [(mail.id, Expanded(n, (remote(f"a{n}@far.test"), remote(f"b{n}@far.test"))))]
            )
            for n in range(6)
        )
    )

    rows = await rows_of(pool, mail.id)
    assert sorted(rows) == list(range(18))
    assert sorted(row["parent"] for row in rows.values() if row["parent"] is not None) == sorted(
        [*range(6), *range(6)]
    )


async def test_a_dead_recipient_that_was_never_routed_can_be_routed(pool: Pool) -> None:
    mail = a_mail()
    await enter(pool, [mail])
    await mark_dead(pool, mail.id, "a bug")

    stand = await routed(pool, [(mail.id, Kept(0, local("anna@example.test")))])

    assert stand[mail.id][0].state == "routed"


async def test_routing_in_a_transaction_that_fails_did_not_happen(pool: Pool) -> None:
    mail = a_mail("team@example.test")
    await enter(pool, [mail])

    async def fail_after_routing() -> None:
        async with transaction(pool) as tx:
            await routed(tx, [(mail.id, Expanded(0, (remote("x@far.test"),)))])
            raise LookupError

    with pytest.raises(LookupError):
        await fail_after_routing()

    assert await states_of(pool, mail.id) == {0: "accepted"}


async def test_a_mail_the_ledger_does_not_know_has_no_standing(pool: Pool) -> None:
    assert await routed(pool, [(a_mail().id, Kept(0, remote("x@far.test")))]) == {}
    assert await routed(pool, [(a_mail().id, Expanded(0, (remote("x@far.test"),)))]) == {}
    assert await routed(pool, []) == {}
