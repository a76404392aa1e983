"""What was learned counts once; unlearned, it has never been."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from posthouse.storage.bayes.corpora import SITE, corpora_of, corpus_of, counts, is_any_ready
from posthouse.storage.bayes.expiring import Bounds, forget, tidy_corpora
from posthouse.storage.bayes.learning import Learned, Lesson, learn
from posthouse.storage.directory import add_account, add_domain
from posthouse.storage.pool import Pool

pytestmark = pytest.mark.integration

ALL = "select owner, token, spam, ham from bayes_tokens order by owner, token"
BOUNDS = Bounds(site_tokens=8, account_tokens=8, lessons=100, rare_lasts=timedelta(days=30))


def _lesson(n: int, *tokens: int, is_spam: bool | None = True) -> Lesson:
    return Lesson(digest=b"%016d" % n, tokens=tokens, is_spam=is_spam)


async def test_a_message_counts_once_and_as_what_was_said_last(pool: Pool) -> None:
    assert await learn(pool, SITE, [_lesson(1, 5, -7), _lesson(2, 5)]) == Learned(new=2)
    assert await learn(pool, SITE, [_lesson(1, 5, -7)]) == Learned(known=1)
    assert await counts(pool, SITE, [5, -7, 9]) == {5: (2, 0), -7: (1, 0)}

    assert await learn(pool, SITE, [_lesson(1, 5, -7, is_spam=False)]) == Learned(changed=1)

    assert await counts(pool, SITE, [5, -7, 9]) == {5: (1, 1), -7: (0, 1)}
    corpus = await corpus_of(pool, SITE)
    assert (corpus.spam, corpus.ham) == (1, 1)


async def test_everybody_has_a_corpus_of_his_own(pool: Pool) -> None:
    await add_domain(pool, "a.test")
    anna = await add_account(pool, "anna@a.test", "x")
    await learn(pool, anna, [_lesson(1, 5), _lesson(2, 5, is_spam=False)])
    await learn(pool, SITE, [_lesson(1, 6)])

    found = await corpora_of(pool, ["anna@a.test", "bert@a.test"])

    assert {key: (each.spam, each.ham) for key, each in found.items()} == {
        "": (1, 0), "anna@a.test": (1, 1),
    }  # fmt: skip
    assert await counts(pool, anna, [5, 6]) == {5: (1, 1)}
    assert await is_any_ready(pool, 1, with_accounts=True)
    assert not await is_any_ready(pool, 1, with_accounts=False)


async def test_lessons_of_two_at_once_are_all_counted(pool: Pool) -> None:
    batches = [[_lesson(n, 1, 2, 10 + n) for n in range(start, start + 10)] for start in (0, 5, 9)]

    done = await asyncio.gather(*(learn(pool, SITE, batch) for batch in batches))

    assert sum(each.new for each in done) == 19
    assert (await counts(pool, SITE, [1]))[1] == (19, 0)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.tuples(st.integers(0, 5), st.sampled_from([True, False, None])), max_size=12)
)
async def test_learning_and_unlearning_cancel_out(
    pool: Pool, steps: list[tuple[int, bool | None]]
) -> None:
    messages = {n: (n, n + 1, 2 * n, 100) for n in range(6)}
    said: dict[int, bool] = {}
    for n, is_spam in steps:
        await learn(pool, SITE, [_lesson(n, *set(messages[n]), is_spam=is_spam)])
        said.pop(n, None)
        if is_spam is not None:
            said[n] = is_spam
    one_by_one = await pool.fetch(ALL)
    whole = await corpus_of(pool, SITE)

    await forget(pool, SITE)
    await learn(
        pool, SITE, [_lesson(n, *set(messages[n]), is_spam=is_spam) for n, is_spam in said.items()]
    )

    assert await pool.fetch(ALL) == one_by_one
    again = await corpus_of(pool, SITE)
    assert (whole.spam, whole.ham) == (again.spam, again.ham)
    await learn(pool, SITE, [_lesson(n, *set(messages[n]), is_spam=None) for n in range(6)])
    assert await pool.fetch(ALL) == []


async def test_the_rare_and_old_goes_first_and_nobody_has_too_much(pool: Pool) -> None:
    await learn(pool, SITE, [_lesson(n, 1, 2, 3, 100 + n) for n in range(4)])
    await pool.execute("update bayes_tokens set seen = seen - 60 where token in (1, 100)")

    assert await tidy_corpora(pool, BOUNDS) == 1

    assert set(await counts(pool, SITE, [1, 2, 3, 100, 101])) == {1, 2, 3, 101}
    assert (await corpus_of(pool, SITE)).tokens == 6
    await learn(pool, SITE, [_lesson(9, *range(200, 210))])
    await tidy_corpora(pool, BOUNDS)
    assert (await corpus_of(pool, SITE)).tokens == 6
    assert set(await counts(pool, SITE, [1, 2, 3])) == {1, 2, 3}


async def test_what_an_account_learned_goes_with_it(pool: Pool) -> None:
    await learn(pool, 77, [_lesson(1, 5)])
    await learn(pool, SITE, [_lesson(1, 5)])

    await tidy_corpora(pool, BOUNDS)

    assert [row["owner"] for row in await pool.fetch(ALL)] == [SITE]
    assert await pool.fetchval("select count(*) from bayes_lessons") == 1
