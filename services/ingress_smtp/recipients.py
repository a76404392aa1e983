"""The gate: what policy says to a sender or a recipient, asked while the client waits.

Answers about recipients are remembered for seconds, because a list server asks the same again and
again; but not those that policy counts, of what accounts send to others. When no policy pod answers in time, a stranger is told to come back (451) and an account
that authenticated is let through; what it sends is checked again at routing.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Protocol

from ingress_smtp import replies
from ingress_smtp.replies import Reply, say
from posthouse.mail.admission import (
    AuthorQuestion,
    ListQuestion,
    MailQuestion,
    Question,
    RcptQuestion,
    Verdict,
)
from posthouse.mail.errors import Unavailable
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

REMEMBER_ACCEPTED = timedelta(seconds=3)
REMEMBER_REFUSED = timedelta(seconds=1)  # who was just made must not wait
MAX_REMEMBERED = 10_000
SERVICE_ENDS = 421  # RFC 5321 §3.8

_REFUSED = counter(
    "posthouse_ingress_refusals_total",
    "Senders, recipients and authors refused by policy.",
    "what",
    "class",
)
_UNANSWERED = counter(
    "posthouse_ingress_policy_unanswered_total", "Questions nobody answered in time.", "outcome"
)
log = get_logger()


_SUBJECTS: dict[type[Question], str] = {
    MailQuestion: "sender",
    RcptQuestion: "recipient",
    AuthorQuestion: "author",
    ListQuestion: "list",
}
_UNJUDGED = Verdict(rule="nobody answered", must_tell=True)


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
        verdict = await self._verdict(question, is_safe=True)
        return replies.OK_SENDER if verdict is not None and verdict.accepts else _reply(verdict)

    async def recipient(self, question: RcptQuestion) -> Reply:
        """Return the reply to RCPT."""
        known = self._remembered.get(question)
        if known is not None and known[0] > self._clock():
            return known[1]
        verdict = await self._verdict(question, is_safe=bool(question.auth))
        accepts = verdict is not None and verdict.accepts
        reply = replies.OK_RECIPIENT if accepts else _reply(verdict)
        if verdict is not None and verdict is not _UNJUDGED and not verdict.is_counted:
            self._remember(question, reply)
        return reply

    async def authors(
        self, question: AuthorQuestion, *, judged: Collection[str]
    ) -> Verdict | Reply:
        """Return the verdict that accepts these authors, or the reply that refuses them.

        Those that were ``judged`` before are accepted when nobody answers.
        """
        verdict = await self._verdict(question, is_safe=set(question.authors) <= set(judged))
        return verdict if verdict is not None and verdict.accepts else _reply(verdict)

    async def members(self, question: ListQuestion) -> Verdict | Reply:
        """Return the verdict that says whom an address stands for, or why that is not said."""
        verdict = await self._verdict(question, is_safe=False)
        return verdict if verdict is not None and verdict.accepts else _reply(verdict)

    async def _verdict(self, question: Question, *, is_safe: bool) -> Verdict | None:
        """Return what policy says, None if nobody answers in time and it is not safe to go on."""
        what = _SUBJECTS[type(question)]
        try:
            verdict = await self._policy.ask(question)
        except Unavailable:
            _UNANSWERED.labels("accepted" if is_safe else "deferred").inc()
            log.warning("policy did not answer", what=what, auth=question.auth)
            return _UNJUDGED if is_safe else None
        if not verdict.accepts:
            _REFUSED.labels(what, "permanent" if verdict.status.is_permanent else "temporary").inc()
            log.info(
                "refused by policy",
                what=what,
                rule=verdict.rule,
                status=str(verdict.status),
                **{name: getattr(question, name) for name in question.__struct_fields__},
            )
        return verdict

    def _remember(self, question: RcptQuestion, reply: Reply) -> None:
        long = REMEMBER_ACCEPTED if reply.accepts else REMEMBER_REFUSED
        self._remembered[question] = (self._clock() + long.total_seconds(), reply)
        self._remembered.move_to_end(question)
        if len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)


def _reply(verdict: Verdict | None) -> Reply:
    """Return how a refusal is said; None: nobody answered."""
    if verdict is None:
        return replies.UNAVAILABLE
    return say(f"{verdict.status} {verdict.text}", closes=verdict.code == SERVICE_ENDS)
