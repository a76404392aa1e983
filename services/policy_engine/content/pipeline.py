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
        wants_all: It must be able to read all of a large message (`Case.blob`).
        of_ours: It looks at mail of this house: of accounts, and of networks that may relay.
        of_strangers: It looks at all other mail. Both may change while we run; if nobody looks
            at anything, ingress does not even ask.
    """

    name: str
    if_away: Action | None
    wants_all: bool
    of_ours: bool
    of_strangers: bool

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
        authenticate: Authenticate | None,
        checks: Sequence[Check],
        levels: Levels,
        patience: timedelta,
    ) -> None:
        """Judge by ``checks``, which have ``patience`` each; they run at the same time.

        Without ``authenticate`` nothing is known of senders.
        """
        self._authenticate = authenticate
        self._checks = tuple(checks)
        self._levels = levels
        self._patience = patience.total_seconds()

    def is_idle(self, *, is_trusted: bool) -> bool:
        """True if there is nothing to check: of mail of this house, or of all other mail."""
        if not is_trusted and self._authenticate is not None:
            return False
        return not any(_looks(check, is_trusted=is_trusted) for check in self._checks)

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
            tasks = [group.create_task(self._step(check, case)) for check in self._checks_of(case)]
        steps = (first, *(task.result() for task in tasks))
        findings = [finding for step in steps for finding in step.findings]
        return Judged(case=case, judgement=decide(findings, self._levels), steps=steps)

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


def _looks(check: Check, *, is_trusted: bool) -> bool:
    return check.of_ours if is_trusted else check.of_strangers
