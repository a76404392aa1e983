"""Where much mail waits, what finds little goes by an index, and everything is found once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bench.waiting import CHOICES, fill, looks
from posthouse.storage import ledger
from posthouse.storage.ledger import Choice, Walk
from posthouse.storage.ledger.choosing import clause_of
from posthouse.storage.pool import Pool, transaction
from support.waiting import deferred, is_true

pytestmark = pytest.mark.integration

MANY = 20_000
_EXPLAIN = """
    explain select w.n from {source} w where {where} order by w.envelope, w.n limit 100
"""


@pytest.fixture
async def many(pool: Pool) -> Pool:
    await fill(pool, MANY)
    return pool


async def plan_of(pool: Pool, choice: Choice) -> str:
    """Return how PostgreSQL finds the first page of ``choice``, whatever its values are."""
    clause = clause_of(choice, datetime.now(UTC))
    sql = _EXPLAIN.format(source=clause.source, where=clause.where)
    return "\n".join(str(row[0]) for row in await pool.fetch(sql, *clause.values))


async def test_everything_is_listed_counted_and_filtered(many: Pool) -> None:
    assert await is_true(many)
    for _, ask in looks(many):
        await ask()
    counts = {
        name: await ledger.count_waiting(many, choice)
        for name, choice in CHOICES.items()
        if name != "older than an hour"
    }
    assert counts == {
        "everything": MANY, "a domain": 20, "all below a domain": MANY,
        "nothing below a domain": 0, "a sender": 4, "senders of a domain": 1000,
        "recipients of a domain": 20, "a recipient": 1, "a tenant": 1000, "deferred": MANY,
        "held": 0, "a reply that most had": MANY, "a reply that nobody had": 0, "several": 0,
    }  # fmt: skip
    old = Choice(older=timedelta(seconds=100), younger=timedelta(seconds=200))
    assert await ledger.count_waiting(many, old) == 10_000


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("everything", "waiting_pkey"),
        ("a domain", "waiting_domain"),
        ("a sender", "waiting_sender"),
        ("a recipient", "waiting_address"),
        ("held", "waiting_held"),
    ],
)
async def test_a_page_is_found_by_its_index(many: Pool, name: str, index: str) -> None:
    plan = await plan_of(many, CHOICES[name])

    assert index in plan
    assert "Seq Scan" not in plan


async def test_what_most_have_in_common_comes_first_in_whatever_case(many: Pool) -> None:
    for address in ("Anna@many.test", "anna@MANY.test", "zoe@many.test"):
        await deferred(many, address, sender="Bulk@A.test")

    by_recipient = await ledger.count_by(many, Choice(), "recipient", 3)
    below = await ledger.count_by(many, Choice(recipient="@many.test"), "recipient", 3)

    assert by_recipient[0] == ("anna@many.test", 2)
    assert [count for _, count in by_recipient] == [2, 1, 1]
    assert below == [("anna@many.test", 2), ("zoe@many.test", 1)]
    assert (await ledger.count_by(many, Choice(sender="@a.test"), "sender", 3)) == [
        ("bulk@a.test", 3)
    ]


async def test_a_walk_takes_everything_once(many: Pool) -> None:
    walk = Walk(began=datetime.now(UTC))
    seen = 0
    while True:
        async with transaction(many) as tx:
            chosen = await ledger.choose(tx, Choice(tenant="tenant3.test"), walk, 300)
            held = await ledger.hold(tx, [each.place for each in await ledger.take(tx, chosen)])
        seen += len(held.places)
        if len(chosen) < 300:
            break
        walk = Walk(began=walk.began, after=chosen[-1].place)

    assert seen == await ledger.count_waiting(many, Choice(state="held")) == 1000
    assert await is_true(many)
