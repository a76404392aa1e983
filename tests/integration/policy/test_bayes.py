"""What was learned judges mail: the site's corpus, an account's own, within seconds, and by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import chain
from uuid import UUID

import pytest

from policy_engine.bayes.autolearning import AutoLearning, Extremes
from policy_engine.bayes.check import Bayes
from policy_engine.bayes.memory import REMEMBER_SECONDS, Memory
from policy_engine.bayes.settings import SCORES
from policy_engine.content.case import Case
from policy_engine.content.finding import Finding
from policy_engine.content.pipeline import Judged
from policy_engine.content.verdict import Levels, decide
from posthouse.bayes.tokens import digest_of, tokens_of
from posthouse.storage.bayes.corpora import SITE, corpus_of
from posthouse.storage.bayes.learning import Lesson, learn
from posthouse.storage.directory import add_account, add_domain
from posthouse.storage.pool import Pool
from support import junk_mail

pytestmark = pytest.mark.integration

SPAM, HAM = list(junk_mail.spam(80)), list(junk_mail.ham(80))
NEW_SPAM = min(junk_mail.spam(20, seed=2), key=len)
NEW_HAM = min(junk_mail.ham(20, seed=2), key=len)
ANNA = "anna@example.test"


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def _case(octets: bytes, *recipients: str, auth: str = "") -> Case:
    return Case(
        id=UUID(int=7), client="192.0.2.1", recipients=recipients or (ANNA,), auth=auth,
        octets=octets, size=len(octets),
    )  # fmt: skip


async def _learn(pool: Pool, owner: int, spam: Iterable[bytes], ham: Iterable[bytes]) -> None:
    said = chain(((each, True) for each in spam), ((each, False) for each in ham))
    await learn(
        pool,
        owner,
        [
            Lesson(digest=digest_of(octets), tokens=tokens_of(octets), is_spam=is_spam)
            for octets, is_spam in said
        ],
    )


def _check(pool: Pool, clock: _Clock, least: int = 50) -> tuple[Bayes, Memory]:
    memory = Memory(pool, least, with_accounts=True, clock=clock)
    return Bayes(memory, SCORES), memory


async def test_mail_is_judged_as_soon_as_enough_was_learned(pool: Pool) -> None:
    clock = _Clock()
    check, memory = _check(pool, clock)
    await memory.look()
    assert not check.of_strangers
    assert await check(_case(NEW_SPAM)) == ()

    await _learn(pool, SITE, SPAM, HAM)
    await memory.look()
    clock.now += REMEMBER_SECONDS + 1

    assert check.of_strangers
    found = await check(_case(NEW_SPAM))
    assert (found[0].rule, found[0].score) == ("BAYES_99", 3.5)
    assert "learned by the site" in found[0].seen
    assert [each.rule for each in await check(_case(NEW_HAM))] == ["BAYES_00"]


async def test_what_is_learned_meanwhile_counts_within_seconds(pool: Pool) -> None:
    clock = _Clock()
    check, _ = _check(pool, clock)
    await _learn(pool, SITE, SPAM, HAM)
    first = await check(_case(NEW_HAM))

    await _learn(pool, SITE, HAM, SPAM)  # all of it the other way

    assert await check(_case(NEW_HAM)) == first
    clock.now += REMEMBER_SECONDS + 1
    assert (await check(_case(NEW_HAM)))[0].rule == "BAYES_99"


async def test_an_account_with_enough_of_its_own_is_judged_by_that(pool: Pool) -> None:
    await add_domain(pool, "example.test")
    anna = await add_account(pool, ANNA, "x")
    await add_account(pool, "bert@example.test", "x")
    await _learn(pool, SITE, SPAM, HAM)
    await _learn(pool, anna, HAM, SPAM)  # she likes what others do not
    check, _ = _check(pool, _Clock())

    hers = await check(_case(NEW_SPAM, "Anna+list@example.test"))
    his = await check(_case(NEW_SPAM, "bert@example.test"))
    both = await check(_case(NEW_SPAM, ANNA, "bert@example.test"))

    assert [each.rule for each in hers] == ["BAYES_00"]
    assert ANNA in hers[0].seen
    assert his == both
    assert his[0].rule == "BAYES_99"


async def test_an_account_with_little_of_its_own_is_judged_by_the_site(pool: Pool) -> None:
    await add_domain(pool, "example.test")
    await _learn(pool, await add_account(pool, ANNA, "x"), HAM[:9], SPAM[:9])
    await _learn(pool, SITE, SPAM, HAM)
    check, _ = _check(pool, _Clock())

    assert (await check(_case(NEW_SPAM)))[0].rule == "BAYES_99"


async def test_what_others_are_sure_of_is_learned_by_itself(pool: Pool) -> None:
    learning = AutoLearning(pool, Extremes(spam=12, ham=-1))

    def hear(octets: bytes, score: float, auth: str = "") -> None:
        judgement = decide([Finding(rule="OTHER", score=score)], Levels())
        learning.heard(Judged(case=_case(octets, auth=auth), judgement=judgement))

    async def counted() -> bool:
        corpus = await corpus_of(pool, SITE)
        return (corpus.spam, corpus.ham) == (2, 1)

    task = asyncio.create_task(learning.work())
    try:
        hear(SPAM[0], 15)
        hear(SPAM[0], 15)
        hear(SPAM[1], 12)
        hear(HAM[0], -2)
        hear(HAM[1], 3)
        hear(HAM[2], -5, auth=ANNA)
        async with asyncio.timeout(30):
            while not await counted():  # noqa: ASYNC110 - what happens in the database
                await asyncio.sleep(0.02)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
