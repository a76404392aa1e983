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
        _tell(case, ran)
        return lambda findings: _findings(loaded, ran, findings)


def _findings(loaded: Loaded, ran: Ran, others: Sequence[Finding]) -> Sequence[Finding]:
    names = [each.rule for each in others if not each.is_shadow]
    return [
        Finding(
            rule=points.hit.rule.name,
            score=points.score,
            seen=points.hit.seen or points.hit.rule.about,
            is_shadow=points.hit.rule.name in loaded.trials,
        )
        for points in conclude(loaded.compiled, ran, names, frozenset(loaded.trials))
    ]


def _tell(case: Case, ran: Ran) -> None:
    if ran.slow:
        _SLOW.inc()
        log.warning("rules were slow", envelope=case.id, rules=ran.slow)
    if ran.is_cut:
        _CUT.inc()
        log.warning("rules had no time left", envelope=case.id, hits=len(ran.hits))
