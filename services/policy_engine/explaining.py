"""Explaining what we would do with a message: the same judges as for real mail, and nothing kept."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from policy_engine.content.bench import Bench
from policy_engine.content.pipeline import Judged
from policy_engine.decisions import Plan
from policy_engine.enquiries import Enquiries
from policy_engine.routing import Routing
from posthouse.mail.admission import MailQuestion, Question, RcptQuestion
from posthouse.mail.content import ContentQuestion
from posthouse.mail.envelope import Inbound, InboundRecipient
from posthouse.mail.explaining import (
    Answered,
    Checked,
    Evidence,
    ExplainQuestion,
    Explanation,
)
from posthouse.mail.ids import new_id
from posthouse.storage.ledger import Branch, Kept

OK = "250 2.0.0 Ok"
SENDER_OK = "250 2.1.0 Ok"  # RFC 3463 §3.2, as ingress says whatever we accept it by
NOBODY = Plan(decisions=(), dead={}, missing=frozenset())


@dataclass(frozen=True, slots=True, kw_only=True)
class Explainer:
    """Tells what would become of messages.

    Attributes:
        enquiries: Who answers MAIL and RCPT.
        bench: Who judges whole messages.
        routing: Who decides where recipients lead.
        hostname: Whose name stands in our fields.
    """

    enquiries: Enquiries
    bench: Bench
    routing: Routing
    hostname: str

    async def answer(self, question: ExplainQuestion) -> Explanation:
        """Explain; raises `Unavailable`."""
        admission = [await self._answered(each) for each in _commands(question)]
        case = replace(await self.bench.case_of(self._content(question)), is_trial=True)
        judged = await self.bench.judge(case)
        if judged is None:
            raise ValueError("all of it is here")
        verdict = await self.bench.verdict_of(judged)
        plan = await self._plan(question, admission)
        header = b""
        if not verdict.refuses and verdict.action != "discard":
            header = await self.bench.header_of(judged, self.hostname)
        return Explanation(
            admission=tuple(admission),
            checks=tuple(_checked(judged)),
            action=verdict.action,
            reply=f"{verdict.status} {verdict.text}" if verdict.refuses else OK,
            score=verdict.score,
            decided_by=verdict.decided_by,
            header=header.decode("utf-8", "replace"),
            hold=verdict.hold or plan.hold,
            ways=tuple(_told(question, plan)),
        )

    async def _answered(self, question: MailQuestion | RcptQuestion) -> Answered:
        began = time.monotonic()
        verdict = await self.enquiries.answer(question)
        is_sender = isinstance(question, MailQuestion) and verdict.accepts
        return Answered(
            command=_command(question),
            reply=SENDER_OK if is_sender else f"{verdict.status} {verdict.text}",
            rule=verdict.rule,
            seconds=time.monotonic() - began,
        )

    def _content(self, question: ExplainQuestion) -> ContentQuestion:
        return ContentQuestion(
            id=new_id(),
            hostname=self.hostname,
            client=question.client,
            hello=question.hello,
            auth=question.auth,
            sender=question.sender,
            recipients=question.recipients,
            size=len(question.octets),
            octets=question.octets,
        )

    async def _plan(self, question: ExplainQuestion, admission: Sequence[Answered]) -> Plan:
        """Return what routing would do with those recipients that are taken."""
        mail_from, *answered = admission
        taken = [
            InboundRecipient(n=n, address=address)
            for n, (address, said) in enumerate(zip(question.recipients, answered, strict=True))
            if said.reply.startswith("2")
        ]
        if not taken or not mail_from.reply.startswith("2"):
            return NOBODY
        mail = Inbound(
            id=new_id(),
            sender=question.sender,
            size=len(question.octets),
            auth=question.auth,
            recipients=tuple(taken),
        )
        [plan] = await self.routing.plans([mail])
        return plan


def _commands(question: ExplainQuestion) -> Iterator[MailQuestion | RcptQuestion]:
    yield MailQuestion(
        sender=question.sender,
        auth=question.auth,
        client=question.client,
        helo=question.hello,
        is_trial=True,
    )
    for address in question.recipients:
        yield RcptQuestion(
            recipient=address,
            sender=question.sender,
            auth=question.auth,
            client=question.client,
            helo=question.hello,
            is_trial=True,
        )


def _command(question: Question) -> str:
    if isinstance(question, RcptQuestion):
        return f"RCPT TO:<{question.recipient}>"
    return f"MAIL FROM:<{question.sender}>" if isinstance(question, MailQuestion) else ""


def _checked(judged: Judged) -> Iterator[Checked]:
    for step in judged.steps:
        yield Checked(
            check=step.name,
            seconds=step.seconds,
            evidence=tuple(
                Evidence(
                    rule=each.rule,
                    score=each.score,
                    seen=each.seen,
                    action=each.action or "",
                    is_shadow=each.is_shadow,
                )
                for each in step.findings
            ),
        )


def _told(question: ExplainQuestion, plan: Plan) -> Iterator[str]:
    """Say where the recipients lead, by what, and who gets a copy."""
    names = dict(enumerate(question.recipients))
    for decision in plan.decisions:
        branches = (decision.to,) if isinstance(decision, Kept) else decision.children
        ways = "; ".join(_way(branch, plan, question.sender) for branch in branches)
        yield f"{names[decision.n]}: {ways or 'to recipients named already'}"
    yield from (f"copy: {_way(branch, plan, question.sender)}" for branch in plan.copies)


def _way(branch: Branch, plan: Plan, sender: str) -> str:
    if branch.road == "remote":
        way = f"to {branch.address} at {branch.domain}"
    elif branch.account is not None:
        way = f"to the mailbox of {branch.address}"
    else:
        dead = plan.dead.get(branch.address.lower())
        return f"bounced: {dead.status} {dead.text}" if dead else "bounced"
    way += f", folder {branch.folder}" if branch.folder else ""
    way += f", through {branch.via}" if branch.via else ""
    way += f", as <{branch.sender}>" if branch.sender not in {None, sender} else ""
    trail = plan.trails.get(branch.address.lower(), ())
    return f"{way}, by {', '.join(trail)}" if trail else way
