"""A check that finds what a test says."""

from __future__ import annotations

from collections.abc import Sequence

from policy_engine.content.case import Case
from policy_engine.content.finding import Action, Finding


class Finds:
    """Finds one rule with its score in each message of a stranger."""

    name = "bayes"
    if_away: Action | None = None
    wants_all = False
    of_ours = False
    of_strangers = True

    def __init__(self, rule: str, score: float) -> None:
        self._rule = rule
        self._score = score

    async def __call__(self, case: Case) -> Sequence[Finding]:
        return [Finding(rule=self._rule, score=self._score, seen=case.client)]
