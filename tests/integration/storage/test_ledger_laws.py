"""Laws of the ledger, whatever happens in whatever order, by many at once.

A settled recipient never changes again; an open one is never lost; numbers are never used twice;
what the callers were told they changed is what changed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from uuid import UUID

import pytest

from posthouse.mail.errors import Unavailable
from posthouse.mail.outcome import Bounced, Deferred, Discarded, Outcome, Relayed
from posthouse.mail.status import LOCAL_ERROR, NO_SUCH_USER
from posthouse.storage.ledger import (
    Branch,
    Expanded,
    Kept,
    enter,
    iterate_unsettled,
    mark_dead,
    revive,
    routed,
    settle,
    unsettled,
)
from posthouse.storage.pool import Pool, transaction
from support.ledger import a_mail, rows_of

pytestmark = pytest.mark.integration

MAILS, STEPS, PODS = 4, 25, 5
SOON = datetime(2030, 1, 1, tzinfo=UTC)


class Pod:
    """Does one thing after another to the same few mails, as a confused broker would ask."""

    def __init__(self, pool: Pool, mails: list[UUID], seed: int) -> None:
        self.pool = pool
        self.mails = mails
        self.dice = random.Random(seed)  # noqa: S311 - a game of dice
        self.ended: list[tuple[UUID, int]] = []

    async def run(self) -> None:
        deeds: list[Callable[[UUID, int], Awaitable[None]]] = [
            self.route, self.route, self.settle, self.settle, self.die, self.live,
        ]  # fmt: skip
        for _ in range(STEPS):
            deed = self.dice.choice(deeds)
            await deed(self.dice.choice(self.mails), self.dice.randrange(5))

    async def route(self, ident: UUID, n: int) -> None:
        address = f"u{self.dice.randrange(4)}@far.test"
        to = Branch(road="remote", address=address, domain="far.test")
        decision = Kept(n, to) if self.dice.random() < 0.5 else Expanded(n, (to, to))
        await routed(self.pool, [(ident, decision)])

    async def settle(self, ident: UUID, n: int) -> None:
        outcomes: list[Outcome] = [
            Relayed(n=n, host="mx", reply="ok"),
            Bounced(n=n, status=NO_SUCH_USER, reply="no"),
            Discarded(n=n, rule="a rule"),
            Deferred(n=n, status=LOCAL_ERROR, reply="later", until=SOON),
        ]
        outcome = self.dice.choice(outcomes)
        changed = await settle(self.pool, ident, [outcome], self.dice.randrange(1, 4))
        if changed and not isinstance(outcome, Deferred):
            self.ended.append((ident, n))

    async def die(self, ident: UUID, n: int) -> None:
        await mark_dead(self.pool, ident, "a bug", [n])

    async def live(self, ident: UUID, n: int) -> None:
        async with transaction(self.pool) as tx:
            await revive(tx, [(ident, n)])


async def settled_rows(pool: Pool) -> dict[tuple[UUID, int], object]:
    rows = await pool.fetch("select * from recipients where settled_at is not null")
    return {(row["envelope"], row["n"]): row for row in rows}


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_the_laws_hold(pool: Pool, seed: int) -> None:
    mails = [a_mail("u0@far.test", "u1@far.test", "list@far.test") for _ in range(MAILS)]
    await enter(pool, mails)
    idents = [mail.id for mail in mails]
    known: dict[tuple[UUID, int], object] = {}
    pods = [Pod(pool, idents, seed * PODS + k) for k in range(PODS)]

    for _ in range(3):
        await asyncio.gather(*(pod.run() for pod in pods))
        now = await settled_rows(pool)
        assert {key: now[key] for key in known} == known  # settled is settled
        known = now

    ended = [key for pod in pods for key in pod.ended]
    expanded = {key for key, row in known.items() if row["state"] == "expanded"}  # type: ignore[index]
    assert len(ended) == len(set(ended))  # each ends once
    assert set(ended) | expanded == set(known)
    open_now = [e async for batch in iterate_unsettled(pool, 3) for e in batch]
    for ident in idents:
        rows = await rows_of(pool, ident)
        assert sorted(rows) == list(range(len(rows)))
        live = {n for n, row in rows.items() if row["settled_at"] is None}
        assert await unsettled(pool, ident, list(rows)) == live
        travelling = {r.n for e in open_now if e.id == ident for r in e.recipients}
        assert travelling == {n for n in live if rows[n]["state"] != "dead"}


async def test_no_deed_ends_in_a_deadlock(pool: Pool) -> None:
    mails = [a_mail(*(f"u{n}@far.test" for n in range(5))) for _ in range(3)]
    await enter(pool, mails)

    async def pod(seed: int) -> None:
        dice = random.Random(seed)  # noqa: S311 - a game of dice
        for _ in range(10):
            chosen = dice.sample(mails, k=3)
            to = Branch(road="remote", address="x@far.test", domain="far.test")
            decisions = [
                (mail.id, Kept(n, to) if dice.random() < 0.7 else Expanded(n, (to,)))
                for mail in chosen
                for n in dice.sample(range(5), k=3)
            ]
            await routed(pool, decisions)

    try:
        await asyncio.gather(*(pod(seed) for seed in range(6)))
    except Unavailable as trouble:
        pytest.fail(f"a deadlock: {trouble}")
