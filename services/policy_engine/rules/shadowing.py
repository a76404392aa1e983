"""Shadows: what rules, sets and levels that are tried out would have changed, counted by day."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from policy_engine.content.pipeline import Judged
from policy_engine.content.verdict import Levels, decide
from policy_engine.rules.table import Table
from posthouse.mail.errors import Unavailable
from posthouse.storage import shadows
from posthouse.storage.pool import Pool, transaction
from posthouse.storage.shadows import MAX_EXAMPLES, Difference
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

LEVELS: Final = "levels"  # the name of the trial of levels
WRITE_SECONDS: Final = 2.0
MAX_KEYS: Final = 2_000  # differences of different kinds between two writes
_LOST = counter("posthouse_policy_shadows_lost_total", "Differences that were not counted.")
log = get_logger()


class Shadowing:
    """Knows the levels in force, and counts what shadows would change."""

    def __init__(self, table: Table, pool: Pool) -> None:
        """Ask ``table`` what is tried out; write to ``pool``."""
        self._table = table
        self._pool = pool
        self._found: dict[tuple[str, str, str], tuple[int, tuple[UUID, ...]]] = {}

    def levels(self, usual: Levels) -> Levels:
        """Return the levels that an operator has set, else the ``usual`` ones."""
        return self._table.now.live or usual

    def note(self, judged: Judged, levels: Levels) -> None:
        """Count what would have become of a case."""
        if judged.case.is_trial:
            return
        was = judged.judgement.action
        for name, would_be in self._others(judged, levels):
            key = (name, was, would_be)
            if key not in self._found and len(self._found) >= MAX_KEYS:
                _LOST.inc()
                continue
            messages, examples = self._found.get(key, (0, ()))
            if len(examples) < MAX_EXAMPLES:
                examples = (*examples, judged.case.id)
            self._found[key] = (messages + 1, examples)

    def _others(self, judged: Judged, levels: Levels) -> Iterator[tuple[str, str]]:
        """Yield the names of trials that have a say, and the action with each."""
        loaded, findings = self._table.now, judged.judgement.findings
        named = {loaded.trials.get(each.rule) for each in findings if each.is_shadow}
        for name in sorted(each for each in named if each is not None):
            tried = [
                replace(each, is_shadow=False) if loaded.trials.get(each.rule) == name else each
                for each in findings
            ]
            yield name, decide(tried, levels).action
        if loaded.tried is not None and not judged.case.is_trusted:  # others hold for those
            would_be = decide(findings, loaded.tried).action
            if would_be != judged.judgement.action:
                yield LEVELS, would_be

    async def keep(self) -> None:
        """Write what is counted, for ever."""
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            await self.write()

    async def write(self) -> None:
        """Write what was counted since; what cannot be written now is kept for the next time."""
        if not self._found:
            return
        taken, self._found = self._found, {}
        day = datetime.now(UTC).date()
        rows = [
            Difference(day=day, name=k[0], was=k[1], would_be=k[2], messages=v[0], examples=v[1])
            for k, v in taken.items()
        ]
        try:
            async with transaction(self._pool) as tx:
                await shadows.add(tx, rows)
        except Unavailable as trouble:
            log.warning("differences were not written", reason=str(trouble))
            for key, (messages, examples) in taken.items():
                more, others = self._found.get(key, (0, ()))
                kept = (*examples, *others)[:MAX_EXAMPLES]
                self._found[key] = (messages + more, kept)
