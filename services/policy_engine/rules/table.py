"""The rules in force: loaded when their version changes, compiled in a thread, swapped when that is done."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from policy_engine.content.verdict import Levels
from posthouse.mail.errors import Unavailable
from posthouse.rules.compiled import Compiled, compile_rules
from posthouse.storage import rules, shadows
from posthouse.storage.pool import Pool
from posthouse.storage.rules import StoredRule
from posthouse.storage.shadows import SpamLevels
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import gauge

LOOK_SECONDS: Final = 2.0  # so often it is looked whether the table has changed
_RULES = gauge("posthouse_policy_rules", "Rules in force, and those left out.", "state")
log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What is in force.

    Attributes:
        version: The table's.
        compiled: All rules.
        trials: Names of rules in the shadow, with the name under which their trial is reported.
        live: Levels instead of the settings'; None for those.
        tried: Levels in the shadow.
    """

    version: int = 0
    compiled: Compiled = field(default_factory=Compiled)
    trials: Mapping[str, str] = field(default_factory=dict)
    live: Levels | None = None
    tried: Levels | None = None


class Table:
    """Holds what is in force."""

    def __init__(self, pool: Pool) -> None:
        """Keep up with the table in ``pool``."""
        self._pool = pool
        self.now = Loaded()

    async def watch(self) -> None:
        """Keep up with changes, for ever; while PostgreSQL is away, what was known is in force."""
        while True:
            try:
                await self.refresh()
            except Unavailable as trouble:
                log.warning("rules were not read", reason=str(trouble))
            await asyncio.sleep(LOOK_SECONDS)

    async def refresh(self) -> None:
        """Load the table if it has changed; raise `Unavailable`."""
        version = await rules.version(self._pool)
        if version == self.now.version:
            return
        stored = await rules.active(self._pool)
        levels = await shadows.levels(self._pool)
        compiled = await asyncio.to_thread(compile_rules, [each.rule for each in stored])
        self.now = Loaded(
            version=version,
            compiled=compiled,
            trials=trials(stored),
            live=_levels(levels.get("live")),
            tried=_levels(levels.get("shadow")),
        )
        _RULES.labels("run").set(len(compiled.rules))
        _RULES.labels("left out").set(len(compiled.faults))
        for name, fault in compiled.faults.items():
            log.error("rule was left out", rule=name, reason=fault.why)
        log.info("rules were loaded", rules=len(compiled.rules), version=version)


def trials(stored: Sequence[StoredRule]) -> dict[str, str]:
    """Return the names of rules in the shadow, with those of their sets, or their own."""
    return {
        each.rule.name: each.rule_set if each.set_state == "shadow" else each.rule.name
        for each in stored
        if each.is_shadow
    }


def _levels(its: SpamLevels | None) -> Levels | None:
    if its is None:
        return None
    return Levels(tag=its.tag, quarantine=its.quarantine, reject=its.reject)
