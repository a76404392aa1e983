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
Authenticate = Callable[[Case], Awaitable[Authenticated]]


class Check(Protocol):
    """One kind of check.

    Attributes:
        name: Of metrics, logs and explanations: ``clamav``.
        if_away: What it asks for when it cannot work; None: nothing.
    """

    name: str
    if_away: Action | None

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
    """A case with its verdict, and the way there."""

    case: Case
    judgement: Judgement
    steps: tuple[Step, ...] = field(default=())


class Pipeline:
    """Judges cases."""

    def __init__(
        self,
        authenticate: Authenticate,
        checks: Sequence[Check],
        levels: Levels,
        patience: timedelta,
    ) -> None:
        """Judge by ``checks``, which have ``patience`` each; they run at the same time."""
        self._authenticate = authenticate
        self._checks = tuple(checks)
        self._levels = levels
        self._patience = patience.total_seconds()

    async def judge(self, case: Case) -> Judged:
        """Return what becomes of ``case``."""
        began = time.monotonic()
        case = replace(case, senders=await self._authenticate(case))
        first = Step(
            name=AUTHENTICATION,
            seconds=time.monotonic() - began,
            findings=tuple(findings_on(case.senders)),
        )
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._step(check, case)) for check in self._checks]
        steps = (first, *(task.result() for task in tasks))
        findings = [finding for step in steps for finding in step.findings]
        return Judged(case=case, judgement=decide(findings, self._levels), steps=steps)

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
