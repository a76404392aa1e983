"""The rules in force in a pod: when they change, when PostgreSQL is away, when one is slow; what trials count."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY

from policy_engine.content.case import Case
from policy_engine.content.pipeline import Judged, Pipeline
from policy_engine.content.verdict import Levels
from policy_engine.rules import table
from policy_engine.rules.check import RulesCheck
from policy_engine.rules.shadowing import Shadowing
from policy_engine.rules.table import REST_SECONDS, STRIKES, Table
from posthouse.mail.errors import Unavailable
from posthouse.mail.ids import new_id
from posthouse.rules.reading import read_rules
from posthouse.storage import rules, shadows
from posthouse.storage.pool import Pool, transaction
from posthouse.storage.rules_in_force import SetState
from posthouse.storage.shadows import SpamLevels
from support.checks import Finds
from support.outages import closed_database
from support.roads import until

pytestmark = pytest.mark.integration

LETTER = b"Subject: x\r\n\r\nYou won a million\r\n"
NEVER = timedelta(days=1)  # a test writes by itself


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class _Pod:
    """A pod of policy that has nothing but rules and the classifier."""

    def __init__(self, pool: Pool) -> None:
        self.clock = _Clock()
        self.table = Table(pool, self.clock)
        self.shadowing = Shadowing(self.table, pool, NEVER)
        self.check = RulesCheck(self.table, self.shadowing)
        self.pipeline = Pipeline(
            None, [Finds("BAYES_99", 3.5)], Levels(), timedelta(seconds=60), self.check
        )

    async def judge(self, octets: bytes = LETTER) -> Judged:
        case = Case(id=new_id(), client="192.0.2.1", octets=octets, size=len(octets))
        return await self.pipeline.judge(case)

    @property
    def running(self) -> list[str]:
        return sorted(self.table.now.compiled.rules)


async def _put(pool: Pool, text: str, name: str = "local", state: SetState = "live") -> None:
    async with transaction(pool) as tx:
        await rules.put_set(tx, name, read_rules(text).rules, "anna")
        await rules.set_state(tx, name, state, "anna")


async def test_while_postgresql_is_away_the_rules_of_before_run_and_nothing_is_lost(
    pool: Pool,
) -> None:
    await _put(pool, "body WON /won/\nscore WON 1")
    await _put(pool, "body TRIED /million/\nscore TRIED 2", "tried", "shadow")
    pod = _Pod(pool)
    await pod.table.refresh()

    async with closed_database(pool):
        with pytest.raises(Unavailable):
            await pod.table.refresh()
        judged = await pod.judge()
        with pytest.raises(Unavailable):
            await pod.shadowing.flush()
        again = await pod.judge()
    await pod.shadowing.flush()

    assert judged.judgement.score == 4.5
    (found,) = await shadows.report(pool, 1, None)
    assert (found.name, found.was, found.would_be, found.messages) == (
        "tried", "accept", "quarantine", 2
    )  # fmt: skip
    assert found.examples == (judged.case.id, again.case.id)


async def test_the_watch_tells_of_an_outage_and_follows_what_changed_behind_it(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missed() -> float:
        return REGISTRY.get_sample_value("posthouse_policy_rules_unread_total") or 0.0

    monkeypatch.setattr(table, "LOOK_SECONDS", 0.02)
    await _put(pool, "body WON /won/")
    pod = _Pod(pool)
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(pod.table.watch())
        await until(lambda: pod.running == ["WON"], "the rules are read")
        before = missed()
        async with closed_database(pool):
            await until(lambda: missed() > before, "the outage is counted")
            assert pod.running == ["WON"]
        await _put(pool, "body NEW /new/", "other")
        await until(lambda: pod.running == ["NEW", "WON"], "the change is followed")
        watching.cancel()


async def test_what_was_counted_is_written_when_a_pod_stops(pool: Pool) -> None:
    await _put(pool, "body TRIED /million/\nscore TRIED 2", "tried", "shadow")
    for _ in range(2):  # two pods, or one that starts again
        pod = _Pod(pool)
        await pod.table.refresh()
        async with pod.shadowing:
            await pod.judge()
            await pod.judge(b"Subject: x\r\n\r\nNothing\r\n")

    assert [
        (each.name, each.judged, each.differ) for each in await shadows.totals(pool, 1, None)
    ] == [("tried", 4, 2)]


async def test_a_rule_that_is_slow_again_and_again_rests_with_what_excludes_it(pool: Pool) -> None:
    """Noise of two characters makes RE2's automaton too large for such a pattern: it crawls."""
    await _put(pool, "rawbody SLOW /a.{900}x/\nbody WON /won/\nmeta NOT_SLOW !SLOW")
    pod = _Pod(pool)
    await pod.table.refresh()
    noise = hashlib.shake_128(b"x").digest(60_000).translate(bytes(97 + n % 2 for n in range(256)))

    pod.table.strike(["SLOW"])
    pod.clock.now += REST_SECONDS + 1  # that was long ago
    for _ in range(STRIKES):
        await pod.table.refresh()
        assert pod.running == ["NOT_SLOW", "SLOW", "WON"]
        await pod.judge(b"Subject: x\r\n\r\nx" + noise)
    await pod.table.refresh()
    resting = pod.running
    pod.clock.now += REST_SECONDS + 1
    await pod.table.refresh()

    assert resting == ["WON"]
    assert pod.running == ["NOT_SLOW", "SLOW", "WON"]


async def test_the_score_of_what_another_check_finds_is_the_tables(pool: Pool) -> None:
    pod = _Pod(pool)
    scores = {"0 0 4.3 4.5": 4.5, "1": 1.0, "0": 0.0}

    for text, score in scores.items():
        await _put(pool, f"score BAYES_99 {text}")
        await pod.table.refresh()

        assert (await pod.judge()).judgement.score == score


async def test_a_score_is_tried_beside_the_one_that_counts(pool: Pool) -> None:
    await _put(
        pool, "body WON /won/\nscore WON 1\nbody OFF /million/\nscore OFF 0\nscore BAYES_99 2"
    )
    async with transaction(pool) as tx:
        await rules.try_score(tx, "WON", 3)
        await rules.try_score(tx, "OFF", 12)
        await rules.try_score(tx, "BAYES_99", 4.5)
    pod = _Pod(pool)
    await pod.table.refresh()

    judged = await pod.judge()
    await pod.shadowing.flush()
    found = {each.name: (each.was, each.would_be) for each in await shadows.report(pool, 1, None)}
    async with transaction(pool) as tx:
        done = [await rules.promote(tx, "WON", "anna") for _ in range(2)]
    await pod.table.refresh()

    assert judged.judgement.score == 3.0
    assert found == {
        "WON": ("accept", "tag"), "OFF": ("accept", "reject"), "BAYES_99": ("accept", "tag")
    }  # fmt: skip
    assert done == [True, False]
    assert (await pod.judge()).judgement.score == 5.0


async def test_levels_are_counted_beside_all_mail(pool: Pool) -> None:
    async with transaction(pool) as tx:
        await shadows.set_levels(tx, "shadow", SpamLevels(tag=3, quarantine=6, reject=9), "anna")
    await _put(pool, "body WON /nothing/")
    pod = _Pod(pool)
    await pod.table.refresh()

    await pod.judge()
    await pod.shadowing.flush()

    (total,) = await shadows.totals(pool, 1, "levels")
    (found,) = await shadows.report(pool, 1, "levels")
    assert (total.judged, total.differ, found.would_be) == (1, 1, "tag")
