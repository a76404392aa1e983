"""The rules in force: loaded when their version changes, compiled in a thread, swapped when that is done."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from policy_engine.content.verdict import Levels
from posthouse.mail.errors import Unavailable
from posthouse.rules.compiled import Compiled, compile_rules, without
from posthouse.storage import rules, shadows
from posthouse.storage.pool import Pool
from posthouse.storage.rules_in_force import StoredRule
from posthouse.storage.shadows import SpamLevels
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter, gauge
from posthouse.telemetry.outages import Outage

LOOK_SECONDS: Final = 2.0  # so often it is looked whether the table has changed
STRIKES: Final = 3  # messages of one hour for which a rule was slow: then it rests
REST_SECONDS: Final = 3600.0
_RULES = gauge("posthouse_policy_rules", "Rules in force, left out, and resting.", "state")
_AWAY = counter("posthouse_policy_rules_unread_total", "Looks at the rules' table that failed.")
log = get_logger()


@dataclass(frozen=True, kw_only=True)  # no slots: what is derived is kept
class Loaded:
    """What is in force.

    Attributes:
        version: The table's.
        compiled: All rules.
        trials: Names of rules in the shadow, with the name under which their trial is reported.
        tried_scores: Scores that are tried out, of rules that are live.
        live: Levels instead of the settings'; None for those.
        tried: Levels in the shadow.
    """

    version: int = 0
    compiled: Compiled = field(default_factory=Compiled)
    trials: Mapping[str, str] = field(default_factory=dict)
    tried_scores: Mapping[str, float] = field(default_factory=dict)
    live: Levels | None = None
    tried: Levels | None = None

    @cached_property
    def shadows(self) -> frozenset[str]:
        """The names of rules that count for nothing."""
        return frozenset(self.trials)

    @cached_property
    def names(self) -> frozenset[str]:
        """What all that is tried out of rules is reported as."""
        return frozenset({*self.trials.values(), *self.tried_scores})


class Table:
    """Holds what is in force; rules that are slow again and again are not, for an hour."""

    def __init__(self, pool: Pool, clock: Callable[[], float] = time.monotonic) -> None:
        """Keep up with the table in ``pool``."""
        self._pool = pool
        self._clock = clock
        self._strikes = Counter[str]()
        self._counts_until = 0.0
        self._rest_until: dict[str, float] = {}
        self._resting: frozenset[str] = frozenset()
        self._outage = Outage("rules not read, those of before run", "rules read again")
        self.now = Loaded()

    async def watch(self) -> None:
        """Keep up with changes, for ever; while PostgreSQL is away, what was known is in force."""
        while True:
            try:
                await self.refresh()
            except Unavailable as trouble:
                self._outage.away(str(trouble))
                _AWAY.inc()
            else:
                self._outage.over()
            await asyncio.sleep(LOOK_SECONDS)

    def strike(self, names: Iterable[str]) -> None:
        """Hear that rules were slow with a message."""
        now = self._clock()
        if self._counts_until <= now:
            self._strikes.clear()
            self._counts_until = now + REST_SECONDS
        for name in names:
            self._strikes[name] += 1
            if self._strikes[name] >= STRIKES and name not in self._rest_until:
                self._rest_until[name] = now + REST_SECONDS
                log.error("rule is slow and rests", rule=name, seconds=REST_SECONDS)

    async def refresh(self) -> None:
        """Load the table if it, or what rests of it, has changed; raise `Unavailable`."""
        version = await rules.version(self._pool)
        if version != self.now.version:  # perhaps they are mended
            self._rest_until.clear()
            self._strikes.clear()
        resting = self._who_rests()
        if (version, resting) == (self.now.version, self._resting):
            return
        stored = await rules.active(self._pool)
        levels = await shadows.levels(self._pool)
        running, _ = without([each.rule for each in stored], resting)
        compiled = await asyncio.to_thread(compile_rules, running)
        self._resting = resting
        self.now = Loaded(
            version=version,
            compiled=compiled,
            trials=trials(stored),
            tried_scores=tried_scores(stored),
            live=_levels(levels.get("live")),
            tried=_levels(levels.get("shadow")),
        )
        _tell(self.now, resting)

    def _who_rests(self) -> frozenset[str]:
        """Return the names of those that rest, who has rested gets up."""
        now = self._clock()
        for name in [name for name, until in self._rest_until.items() if until <= now]:
            del self._rest_until[name], self._strikes[name]
        return frozenset(self._rest_until)


def _tell(loaded: Loaded, resting: frozenset[str]) -> None:
    compiled = loaded.compiled
    _RULES.labels("run").set(len(compiled.rules))
    _RULES.labels("left out").set(len(compiled.faults))
    _RULES.labels("resting").set(len(resting))
    for name, fault in compiled.faults.items():
        log.error("rule was left out", rule=name, reason=fault.why)
    log.info("rules were loaded", rules=len(compiled.rules), version=loaded.version)


def trials(stored: Sequence[StoredRule]) -> dict[str, str]:
    """Return the names of rules in the shadow, with those of their sets, or their own."""
    return {
        each.rule.name: each.rule_set if each.set_state == "shadow" else each.rule.name
        for each in stored
        if each.is_shadow
    }


def tried_scores(stored: Sequence[StoredRule]) -> dict[str, float]:
    """Return the scores that are tried out of rules that are live."""
    return {
        each.rule.name: each.tried_score
        for each in stored
        if each.tried_score is not None and not each.is_shadow
    }


def _levels(its: SpamLevels | None) -> Levels | None:
    if its is None:
        return None
    return Levels(tag=its.tag, quarantine=its.quarantine, reject=its.reject)
