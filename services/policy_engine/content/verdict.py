"""The verdict: what the findings come to (design: accept, tag, quarantine, reject, tempfail, discard). Pure.

A rule that asks for an action by itself has it, the most severe of all; otherwise the sum of the
scores decides by the levels. A rule that asks to accept (an allow-list) leaves refusals by score out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from policy_engine.content.finding import SEVERITY, Action, Finding

SPAM_TEXT = "Message refused: it looks like spam"
POLICY_TEXT = "Message refused by policy"
LATER_TEXT = "Message cannot be judged now, try again later"


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """From which sums of scores on something is done; None: never.

    Attributes:
        tag: The message is marked as spam.
        quarantine: It goes to Junk.
        reject: It is refused.
    """

    tag: float | None = 5.0
    quarantine: float | None = 6.0
    reject: float | None = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What was decided.

    Attributes:
        action: What is done.
        score: The sum of the scores.
        decided_by: The names of the rules that asked for the action; empty where the sum did.
        text: The public text of a refusal.
        enhanced: Its enhanced status code (RFC 3463).
        findings: All of them, shadows included.
        is_spam: The sum has reached the tag level.
    """

    action: Action
    score: float
    decided_by: tuple[str, ...] = ()
    text: str = ""
    enhanced: tuple[int, int, int] = (2, 0, 0)
    findings: tuple[Finding, ...] = ()
    is_spam: bool = False


def decide(findings: Sequence[Finding], levels: Levels) -> Judgement:
    """Return what ``findings`` come to."""
    live = [each for each in findings if not each.is_shadow]
    score = round(sum(each.score for each in live), 3)
    asked = [each for each in live if each.action is not None]
    is_let_in = any(each.action == "accept" for each in asked)
    by_score: Action = "accept" if is_let_in else _by_score(score, levels)
    top = max(asked, key=_weight, default=None)
    is_spam = levels.tag is not None and score >= levels.tag
    if top is None or not _is_stronger(top, by_score):
        return _judgement(by_score, score, findings, is_spam=is_spam)
    action = top.action or "accept"
    return Judgement(
        action=action,
        score=score,
        decided_by=tuple(each.rule for each in asked if each.action == action),
        text=top.text or _text(action),
        enhanced=_enhanced(action, top.enhanced),
        findings=tuple(findings),
        is_spam=is_spam,
    )


def _weight(finding: Finding) -> tuple[int, bool]:
    return SEVERITY[finding.action or "accept"], bool(finding.text)


def _is_stronger(top: Finding, by_score: Action) -> bool:
    """True if a rule that asks for an action has it, or its own words for what the sum asks for, too."""
    asked = top.action or "accept"
    if asked == by_score == "reject":
        return bool(top.text)
    return SEVERITY[asked] > SEVERITY[by_score]


def _judgement(
    action: Action, score: float, findings: Sequence[Finding], *, is_spam: bool
) -> Judgement:
    return Judgement(
        action=action,
        score=score,
        text=SPAM_TEXT if action == "reject" else "",
        enhanced=_enhanced(action, (5, 7, 1)),
        findings=tuple(findings),
        is_spam=is_spam,
    )


def _by_score(score: float, levels: Levels) -> Action:
    steps: tuple[tuple[float | None, Action], ...] = (
        (levels.reject, "reject"),
        (levels.quarantine, "quarantine"),
        (levels.tag, "tag"),
    )
    return next((act for level, act in steps if level is not None and score >= level), "accept")


def _text(action: Action) -> str:
    return {"reject": POLICY_TEXT, "tempfail": LATER_TEXT}.get(action, "")


def _enhanced(action: Action, wanted: tuple[int, int, int]) -> tuple[int, int, int]:
    if action == "reject":
        return (5, *wanted[1:])
    return (4, *wanted[1:]) if action == "tempfail" else (2, 0, 0)
