"""Whom we leave alone: recipients outside that stand on the suppression list. Pure.

A client that submits hears of it at RCPT, unless the operator wants otherwise; where nobody could
ask, or an alias leads outside, routing holds back. There they are found once for a whole batch, after
its ways are known: one question for mail that leaves the house, none for the rest. A mail without a
sender is a report, and is never held back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from policy_engine.admission import RELAYED
from policy_engine.dead_ends import SUPPRESSED, Dead
from policy_engine.decisions import Plan
from posthouse.mail.admission import RcptQuestion, Verdict, refuse
from posthouse.mail.envelope import Inbound
from posthouse.storage.ledger import Branch, Decision, Kept, branches_of
from posthouse.storage.suppressing import Reason

Pair: TypeAlias = tuple[str, str]  # sender and recipient
_Judge: TypeAlias = Callable[[Branch], Branch]


def refusal(question: RcptQuestion, verdict: Verdict, reason: Reason | None) -> Verdict:
    """Return ``verdict`` on who may send outside, or the refusal for ``reason``."""
    if reason is None or not leaves(question, verdict):
        return verdict
    dead = SUPPRESSED[reason]
    return refuse(dead.status, dead.text, "suppression list")


def leaves(question: RcptQuestion, verdict: Verdict) -> bool:
    """True if mail of somebody to this recipient would leave the house."""
    return bool(question.sender) and verdict.accepts and verdict.rule in RELAYED


def going_out(batch: Sequence[Inbound], plans: Sequence[Plan]) -> list[Pair]:
    """Return who sends to whom outside, each pair once."""
    pairs = (
        (_sender(mail, branch), branch.address)
        for mail, plan in zip(batch, plans, strict=True)
        for decision in plan.decisions
        for branch in branches_of(decision)
        if mail.sender and branch.road == "remote"
    )
    return list(dict.fromkeys(pairs))


def hold_back(mail: Inbound, plan: Plan, held: Mapping[Pair, Reason]) -> Plan:
    """Return ``plan`` without a way for those who are held back."""
    why: dict[str, Dead] = {}

    def judged(branch: Branch) -> Branch:
        reason = held.get((_sender(mail, branch), branch.address))
        if reason is None or branch.road != "remote" or not mail.sender:
            return branch
        why[branch.address.lower()] = SUPPRESSED[reason]
        return replace(branch, road="local", domain=None)

    decisions = tuple(_with(decision, judged) for decision in plan.decisions)
    return replace(plan, decisions=decisions, dead={**plan.dead, **why}) if why else plan


def _with(decision: Decision, judged: _Judge) -> Decision:
    if isinstance(decision, Kept):
        return Kept(decision.n, judged(decision.to))
    return replace(decision, children=tuple(map(judged, decision.children)))


def _sender(mail: Inbound, branch: Branch) -> str:
    return branch.sender if branch.sender is not None else mail.sender
