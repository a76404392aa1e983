"""The second step of the pipeline: rules see what all checks have found; shadows count for nothing."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from policy_engine.content.case import Case
from policy_engine.content.finding import Finding
from policy_engine.content.pipeline import Conclude, Judged, Pipeline
from policy_engine.content.verdict import Levels
from policy_engine.rules.table import trials
from posthouse.mail.ids import new_id
from posthouse.rules.rule import Rule
from posthouse.storage.rules_in_force import RuleState, SetState, StoredRule, in_force
from support.checks import Finds

LETTER = b"Subject: x\r\n\r\nHello\r\n"


class _Scoring:
    """Gives a point for each finding; says which levels are in force."""

    def __init__(self, *, is_silent: bool = False, looks: bool = True) -> None:
        self.of_ours = False
        self.of_strangers = looks
        self._is_silent = is_silent
        self.noted: list[Judged] = []

    async def begin(self, case: Case) -> Conclude:
        if self._is_silent:
            await asyncio.Event().wait()
        return lambda found: [
            Finding(rule="SEEN", score=len(found), seen=" ".join(each.rule for each in found)),
            Finding(rule="TRIED", score=100, seen=case.client, is_shadow=True),
        ]

    def levels(self, usual: Levels) -> Levels:
        return Levels(tag=4, quarantine=usual.quarantine, reject=usual.reject)

    def note(self, judged: Judged, levels: Levels) -> None:
        assert levels.tag == 4
        self.noted.append(judged)


def _case(*, is_ours: bool = False) -> Case:
    return Case(id=new_id(), client="192.0.2.1", octets=LETTER, size=len(LETTER), is_ours=is_ours)


def _pipeline(scoring: _Scoring, seconds: float = 30) -> Pipeline:
    return Pipeline(None, [Finds("BAYES_99", 3.5)], Levels(), timedelta(seconds=seconds), scoring)


async def test_scoring_sees_what_all_checks_have_found() -> None:
    scoring = _Scoring()

    judged = await _pipeline(scoring).judge(_case())

    assert [step.name for step in judged.steps] == ["authentication", "bayes", "rules"]
    assert judged.steps[-1].findings[0].seen == "BAYES_99"
    assert (judged.judgement.score, judged.judgement.action) == (4.5, "tag")
    assert judged.levels.tag == 4
    assert scoring.noted == [judged]


async def test_scoring_that_does_not_answer_in_time_is_a_finding() -> None:
    judged = await _pipeline(_Scoring(is_silent=True), 0.01).judge(_case())

    assert [each.rule for each in judged.steps[-1].findings] == ["RULES_AWAY"]
    assert judged.judgement.score == 3.5


async def test_mail_that_is_not_looked_at_is_not_scored() -> None:
    judged = await _pipeline(_Scoring()).judge(_case(is_ours=True))

    assert judged.judgement.findings == ()


@pytest.mark.parametrize("looks", [True, False])
def test_a_pipeline_with_nothing_but_rules_is_idle_without_them(*, looks: bool) -> None:
    pipeline = Pipeline(None, [], Levels(), timedelta(seconds=1), _Scoring(looks=looks))

    assert pipeline.is_idle(is_trusted=False) is not looks
    assert pipeline.is_idle(is_trusted=True)


def _stored(
    of: str, rule: Rule, state: SetState = "live", own: RuleState | None = None
) -> StoredRule:
    return StoredRule(rule_set=of, rule=rule, own_score=None, own_state=own, set_state=state)


def test_a_later_set_defines_anew_or_only_scores() -> None:
    first = Rule(name="A", kind="body", source="/a/", scores=(1,))
    other = Rule(name="B", kind="body", source="/b/")
    found = in_force([
        _stored("a", Rule(name="C", kind="score", scores=(7,))),
        _stored("a", first),
        _stored("a", other),
        _stored("b", Rule(name="A", kind="score", scores=(4,))),
        _stored("b", Rule(name="B", kind="body", source="/c/")),
        _stored("b", Rule(name="C", kind="body", source="/d/")),
    ])  # fmt: skip

    told = {each.rule.name: (each.rule.source, each.rule.scores) for each in found}
    assert told == {"A": ("/a/", (4,)), "B": ("/c/", ()), "C": ("/d/", (7,))}


def test_a_shadow_takes_the_place_of_nothing_that_is_live() -> None:
    old, new = Rule(name="A", kind="body", source="/a/"), Rule(name="A", kind="body", source="/b/")

    found = in_force([_stored("a", old), _stored("b", new, "shadow")])

    assert [(each.rule.source, each.is_shadow) for each in found] == [("/a/", False)]


def test_a_trial_is_called_like_what_is_tried() -> None:
    rule = Rule(name="A", kind="body", source="/a/")

    assert trials([_stored("s", rule, "shadow")]) == {"A": "s"}
    assert trials([_stored("s", rule, "live", "shadow")]) == {"A": "A"}
    assert trials([_stored("s", rule)]) == {}
