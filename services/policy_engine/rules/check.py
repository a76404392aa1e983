"""The check: runs the patterns beside the other checks, and computes metas from what all have found."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from policy_engine.content.case import Case
from policy_engine.content.finding import Finding
from policy_engine.content.pipeline import Conclude
from policy_engine.rules.shadowing import Shadowing
from policy_engine.rules.table import Loaded, Table
from posthouse.rules.running import Ran, conclude, run
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

IN_THREAD_OCTETS: Final = 16 * 1024
IN_THREAD_RULES: Final = 300
CUT: Final = "RULES_CUT"  # what is found where the time was up before all rules had run
_SLOW = counter("posthouse_policy_rules_slow_total", "Messages for which one rule took long.")
_CUT = counter("posthouse_policy_rules_cut_total", "Messages for which not all rules had time.")
log = get_logger()


class RulesCheck:
    """Scores messages; see `policy_engine.content.pipeline.Scoring`."""

    def __init__(self, table: Table, shadowing: Shadowing) -> None:
        """Run what ``table`` holds; ``shadowing`` hears what was decided."""
        self._table = table
        self.levels = shadowing.levels
        self.note = shadowing.note

    @property
    def of_ours(self) -> bool:
        """Mail of this house is scored, too."""
        return bool(self._table.now.compiled.rules)

    @property
    def of_strangers(self) -> bool:
        """As long as there are rules."""
        return bool(self._table.now.compiled.rules)

    async def begin(self, case: Case) -> Conclude:
        """Run all patterns."""
        loaded = self._table.now
        if len(case.octets) > IN_THREAD_OCTETS or len(loaded.compiled.rules) > IN_THREAD_RULES:
            ran = await asyncio.to_thread(run, loaded.compiled, case.letter)
        else:
            ran = run(loaded.compiled, case.letter)
        self._tell(case, ran)
        return lambda findings: _findings(loaded, ran, findings)

    def _tell(self, case: Case, ran: Ran) -> None:
        if ran.slow:
            _SLOW.inc()
            log.warning("rules were slow", envelope=case.id, rules=ran.slow)
            if not case.is_trial:
                self._table.strike(name for name, _ in ran.slow)
        if ran.left:
            _CUT.inc()
            log.warning("rules had no time left", envelope=case.id, rules=len(ran.left))


def _findings(loaded: Loaded, ran: Ran, others: Sequence[Finding]) -> Sequence[Finding]:
    """Return what the rules found; of what another check found, how much more it counts by them."""
    given: dict[str, float] = {}
    for each in others:
        if not each.is_shadow:
            given[each.rule] = given.get(each.rule, 0.0) + each.score
    found = []
    for points in conclude(loaded.compiled, ran, given, loaded.shadows):
        rule = points.hit.rule
        score = points.score - given.get(rule.name, 0.0) * (rule.kind == "score")
        if score:
            seen = points.hit.seen or rule.about
            is_shadow = rule.name in loaded.shadows
            found.append(
                Finding(rule=rule.name, score=round(score, 3), seen=seen, is_shadow=is_shadow)
            )
    if ran.left:
        found.append(Finding(rule=CUT, seen=f"{len(ran.left)} rules had no time"))
    return found
