"""The gate: what policy says to a sender or a recipient, asked while the client waits.

Answers about recipients are remembered for seconds, because a list server asks the same again and
again. When no policy pod answers in time, a stranger is told to come back (451) and an account
that authenticated is let through; what it sends is checked again at routing.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

from ingress_smtp import replies
from ingress_smtp.replies import Reply, say
from posthouse.mail.admission import MailQuestion, Question, RcptQuestion, Verdict
from posthouse.mail.errors import Unavailable
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

REMEMBER_ACCEPTED = timedelta(seconds=3)
REMEMBER_REFUSED = timedelta(seconds=1)  # who was just made must not wait
MAX_REMEMBERED = 10_000
SERVICE_ENDS = 421  # RFC 5321 §3.8

_REFUSED = counter(
    "posthouse_ingress_refusals_total", "Senders and recipients refused by policy.", "what", "class"
)
_UNANSWERED = counter(
    "posthouse_ingress_policy_unanswered_total", "Questions nobody answered in time.", "outcome"
)
log = get_logger()


class Policy(Protocol):
    """What the gate needs: somebody who answers questions."""

    async def ask(self, question: Question) -> Verdict:
        """Answer, or raise `Unavailable` when the deadline has passed."""


class Gate:
    """Asks policy and turns verdicts into replies."""

    def __init__(self, policy: Policy, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._policy = policy
        self._clock = clock
        self._remembered: OrderedDict[RcptQuestion, tuple[float, Reply]] = OrderedDict()

    async def sender(self, question: MailQuestion) -> Reply:
        """Return the reply to MAIL. Only an account has rights to check; a stranger has none."""
        if not question.auth:
            return replies.OK_SENDER
        return await self._asked(question, replies.OK_SENDER)

    async def recipient(self, question: RcptQuestion) -> Reply:
        """Return the reply to RCPT."""
        known = self._remembered.get(question)
        if known is not None and known[0] > self._clock():
            return known[1]
        reply = await self._asked(question, replies.OK_RECIPIENT)
        if reply is not replies.UNAVAILABLE:
            self._remember(question, reply)
        return reply

    async def _asked(self, question: MailQuestion | RcptQuestion, accepted: Reply) -> Reply:
        what = "sender" if isinstance(question, MailQuestion) else "recipient"
        try:
            verdict = await self._policy.ask(question)
        except Unavailable:
            _UNANSWERED.labels("accepted" if question.auth else "deferred").inc()
            log.warning("policy did not answer", what=what, auth=question.auth)
            return accepted if question.auth else replies.UNAVAILABLE
        if verdict.accepts:
            return accepted
        _REFUSED.labels(what, "permanent" if verdict.status.is_permanent else "temporary").inc()
        log.info("refused by policy", what=what, rule=verdict.rule, status=str(verdict.status),
                 recipient=question.recipient if isinstance(question, RcptQuestion) else None,
                 sender=question.sender, client=question.client)  # fmt: skip
        closes = verdict.code == SERVICE_ENDS
        return say(f"{verdict.status} {verdict.text}", closes=closes)

    def _remember(self, question: RcptQuestion, reply: Reply) -> None:
        long = REMEMBER_ACCEPTED if reply.accepts else REMEMBER_REFUSED
        self._remembered[question] = (self._clock() + long.total_seconds(), reply)
        self._remembered.move_to_end(question)
        if len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)
