"""Shadows: what rules, sets, scores and levels that are tried out would have changed, counted by day."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from policy_engine.content.finding import Action, Finding
from policy_engine.content.pipeline import Judged
from policy_engine.content.verdict import Levels, decide
from policy_engine.rules.table import Loaded, Table
from posthouse.runtime.tally import Tally
from posthouse.storage import shadows
from posthouse.storage.pool import Pool
from posthouse.storage.shadows import Difference
from posthouse.telemetry.metrics import counter
from posthouse.telemetry.outages import Outage

LEVELS: Final = "levels"  # the name of the trial of levels
EVERY: Final = timedelta(seconds=2)
MAX_KINDS: Final = 2_000  # differences that are told apart until they are written
_LOST = counter("posthouse_policy_shadows_lost_total", "Differences that were not counted.")


class Shadowing(Tally[Difference]):
    """Knows the levels in force, and counts what shadows would change."""

    def __init__(self, table: Table, pool: Pool, every: timedelta = EVERY) -> None:
        """Ask ``table`` what is tried out; write to ``pool``."""
        super().__init__(
            partial(shadows.add, pool),
            every,
            outage=Outage("differences kept", "differences written again"),
            drop=_LOST.inc,
            max_kinds=MAX_KINDS,
        )
        self._table = table

    def levels(self, usual: Levels) -> Levels:
        """Return the levels that an operator has set, else the ``usual`` ones."""
        return self._table.now.live or usual

    def note(self, judged: Judged, levels: Levels) -> None:
        """Count what would have become of a case with each trial."""
        if judged.case.is_trial:
            return
        was, day = judged.judgement.action, datetime.now(UTC).date()
        for name, would_be in _others(judged, levels, self._table.now):
            examples = (judged.case.id,) if would_be != was else ()
            self.add(Difference(day=day, name=name, was=was, would_be=would_be, examples=examples))


def _others(judged: Judged, levels: Levels, loaded: Loaded) -> Iterator[tuple[str, Action]]:
    """Yield each trial, and the action with it."""
    findings, was = judged.judgement.findings, judged.judgement.action
    for name in loaded.names:
        tried = _tried(findings, name, loaded)
        yield name, was if tried is None else decide(tried, levels).action
    if loaded.tried is not None and not judged.case.is_trusted:  # others hold for those
        yield LEVELS, decide(findings, loaded.tried).action


def _tried(findings: Sequence[Finding], name: str, loaded: Loaded) -> Sequence[Finding] | None:
    """Return ``findings`` as they would be with a trial; None if it has no say."""
    if any(each.is_shadow and loaded.trials.get(each.rule) == name for each in findings):
        return [
            replace(each, is_shadow=False) if loaded.trials.get(each.rule) == name else each
            for each in findings
        ]
    found = [each.score for each in findings if each.rule == name and not each.is_shadow]
    if not found or name not in loaded.tried_scores:
        return None
    return [*findings, Finding(rule=name, score=loaded.tried_scores[name] - sum(found))]
