"""The pipeline: authentication, then all checks side by side, then the verdict.

Each check has its time, and all together have theirs: the SMTP client waits. A check that cannot
work is a finding too, by its own name, and asks for what it says it wants then (`Check.if_away`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Protocol

from policy_engine.content.authenticated import Authenticated
from policy_engine.content.case import Case
from policy_engine.content.finding import Action, Finding
from policy_engine.content.senders import findings_on
from policy_engine.content.verdict import Judgement, Levels, decide
from posthouse.mail.errors import Unavailable
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter, histogram

_FAILED = counter("posthouse_policy_checks_failed_total", "Checks that could not work.", "check")
_SECONDS = histogram("posthouse_policy_check_seconds", "How long a check takes.", "check")
log = get_logger()

AUTHENTICATION = "authentication"
SCORING = "rules"
Authenticate = Callable[[Case], Awaitable[Authenticated]]
Conclude = Callable[[Sequence[Finding]], Sequence[Finding]]


class Check(Protocol):
    """One kind of check.

    Attributes:
        name: Of metrics, logs and explanations: ``clamav``.
        if_away: What it asks for when it cannot work; None: nothing.
        wants_all: It must be able to read all of a large message (`Case.blob`).
        of_ours: It looks at mail of this house: of accounts, and of networks that may relay.
        of_strangers: It looks at all other mail. Both may change while we run; if nobody looks
            at anything, ingress does not even ask.
    """

    name: str
    if_away: Action | None
    wants_all: bool

    @property
    def of_ours(self) -> bool: ...  # noqa: D102 - above
    @property
    def of_strangers(self) -> bool: ...  # noqa: D102 - above

    async def __call__(self, case: Case) -> Sequence[Finding]:
        """Return what is found; raise `Unavailable` if that cannot be found out now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One check as it ran.

    Attributes:
        name: The check's.
        seconds: How long it took.
        findings: What it found.
    """

    name: str
    seconds: float
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A case with its verdict, the way there, and the levels that were in force."""

    case: Case
    judgement: Judgement
    steps: tuple[Step, ...] = field(default=())
    levels: Levels = field(default=Levels())


class Scoring(Protocol):
    """Scores in two steps: beside the checks, then from what all of them have found.

    Attributes:
        of_ours: It looks at mail of this house.
        of_strangers: It looks at all other mail.
    """

    @property
    def of_ours(self) -> bool: ...  # noqa: D102 - above
    @property
    def of_strangers(self) -> bool: ...  # noqa: D102 - above

    async def begin(self, case: Case) -> Conclude:
        """Look at ``case``; what is returned is asked for findings once all others are there."""
        ...

    def levels(self, usual: Levels) -> Levels:
        """Return the levels in force, where ``usual`` are those of the settings."""
        ...

    def note(self, judged: Judged, levels: Levels) -> None:
        """Hear what was decided by ``levels``."""
        ...


class Pipeline:
    """Judges cases."""

    def __init__(
        self,
        authenticate: Authenticate | None,
        checks: Sequence[Check],
        levels: Levels,
        patience: timedelta,
        scoring: Scoring | None = None,
        of_ours: Levels | None = None,
    ) -> None:
        """Judge by ``checks``, which have ``patience`` each; they run at the same time.

        Without ``authenticate`` nothing is known of senders. ``scoring`` has the last word.
        ``of_ours`` are the levels of mail of this house, where they are others.
        """
        self._authenticate = authenticate
        self._scoring = scoring
        self._of_ours = of_ours
        self._checks = tuple(checks)
        self._levels = levels
        self._patience = patience.total_seconds()

    def is_idle(self, *, is_trusted: bool) -> bool:
        """True if there is nothing to check: of mail of this house, or of all other mail."""
        if not is_trusted and self._authenticate is not None:
            return False
        looking: list[Check | Scoring] = [*self._checks]
        if self._scoring is not None:
            looking.append(self._scoring)
        return not any(_looks(check, is_trusted=is_trusted) for check in looking)

    def wants_all(self, case: Case) -> bool:
        """True if ``case`` cannot be judged before all of it can be read."""
        return (
            not case.is_whole
            and not case.blob
            and any(check.wants_all for check in self._checks_of(case))
        )

    async def judge(self, case: Case) -> Judged:
        """Return what becomes of ``case``."""
        began = time.monotonic()
        if self._authenticate is not None:
            case = replace(case, senders=await self._authenticate(case))
        elif case.auth:
            case = replace(case, senders=Authenticated(auth=case.auth))
        first = Step(
            name=AUTHENTICATION,
            seconds=time.monotonic() - began,
            findings=tuple(findings_on(case.senders)),
        )
        _SECONDS.labels(AUTHENTICATION).observe(first.seconds)
        async with asyncio.TaskGroup() as group:
            scored = group.create_task(self._scored(case))
            tasks = [group.create_task(self._step(check, case)) for check in self._checks_of(case)]
        steps = (first, *(task.result() for task in tasks))
        findings = [finding for step in steps for finding in step.findings]
        levels = self._levels
        if self._scoring is not None:
            steps = (*steps, last := _concluded(*scored.result(), findings))
            findings += last.findings
            levels = self._scoring.levels(levels)
        if case.is_trusted and self._of_ours is not None:
            levels = self._of_ours
        judged = Judged(case=case, judgement=decide(findings, levels), steps=steps, levels=levels)
        if self._scoring is not None:
            self._scoring.note(judged, levels)
        return judged

    async def _scored(self, case: Case) -> tuple[Conclude, float]:
        """Take the first step of scoring; return the second, and how long it took."""
        began = time.monotonic()
        scoring = self._scoring
        if scoring is None or not _looks(scoring, is_trusted=case.is_trusted):
            return _nothing, 0.0
        try:
            async with asyncio.timeout(self._patience):
                conclude = await scoring.begin(case)
        except TimeoutError:
            _FAILED.labels(SCORING).inc()
            log.warning("check did not work", check=SCORING, reason="no answer in time")
            away = Finding(rule=f"{SCORING.upper()}_AWAY", seen="no answer in time")
            return lambda _: (away,), time.monotonic() - began
        return conclude, time.monotonic() - began

    def _checks_of(self, case: Case) -> Sequence[Check]:
        return [each for each in self._checks if _looks(each, is_trusted=case.is_trusted)]

    async def _step(self, check: Check, case: Case) -> Step:
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._patience):
                findings = tuple(await check(case))
        except (Unavailable, TimeoutError) as trouble:
            _FAILED.labels(check.name).inc()
            log.warning(
                "check did not work", check=check.name, reason=str(trouble) or "no answer in time"
            )
            findings = (
                Finding(
                    rule=f"{check.name.upper()}_AWAY",
                    seen=str(trouble) or "no answer in time",
                    action=check.if_away,
                    enhanced=(4, 7, 1),
                ),
            )
        seconds = time.monotonic() - began
        _SECONDS.labels(check.name).observe(seconds)
        return Step(name=check.name, seconds=seconds, findings=findings)


def _nothing(_: Sequence[Finding]) -> Sequence[Finding]:
    return ()


def _concluded(conclude: Conclude, seconds: float, findings: Sequence[Finding]) -> Step:
    began = time.monotonic()
    found = tuple(conclude(findings))
    seconds += time.monotonic() - began
    _SECONDS.labels(SCORING).observe(seconds)
    return Step(name=SCORING, seconds=seconds, findings=found)


def _looks(check: Check | Scoring, *, is_trusted: bool) -> bool:
    return check.of_ours if is_trusted else check.of_strangers
