"""The gate's memory: what it need not ask policy twice, and what policy must hear each time."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from msgspec import structs

from ingress_smtp.recipients import Gate
from posthouse.mail.admission import Question, RcptQuestion, Verdict, accept, refuse
from posthouse.mail.status import NO_SUCH_USER

ACCEPTED = accept("account")
COUNTED = structs.replace(accept("account relays"), is_counted=True)
REFUSED = refuse(NO_SUCH_USER, "No such user here", "unknown recipient")


@dataclass
class Clock:
    """A clock that a test moves."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Policy:
    """Answers the same to everything."""

    verdict: Verdict
    asked: list[Question] = field(default_factory=list)

    async def ask(self, question: Question) -> Verdict:
        self.asked.append(question)
        return self.verdict


def _question(auth: str) -> RcptQuestion:
    return RcptQuestion(recipient="bert@b.test", sender="anna@a.test", auth=auth)


@pytest.mark.parametrize(
    ("auth", "verdict", "questions"),
    [
        ("", ACCEPTED, 1),
        ("", REFUSED, 1),
        ("anna@a.test", REFUSED, 1),
        ("anna@a.test", ACCEPTED, 1),
        ("anna@a.test", COUNTED, 3),  # policy limits what accounts send to others
    ],
)
async def test_policy_hears_of_each_recipient_that_it_counts(
    auth: str, verdict: Verdict, questions: int
) -> None:
    policy, clock = Policy(verdict), Clock()
    gate = Gate(policy, clock=clock)

    replies = {(await gate.recipient(_question(auth))).accepts for _ in range(3)}

    assert replies == {verdict.accepts}
    assert len(policy.asked) == questions
    clock.now += 4  # longer than anything is remembered
    await gate.recipient(_question(auth))
    assert len(policy.asked) == questions + 1
