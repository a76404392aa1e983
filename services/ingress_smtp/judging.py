"""Judging: MAIL and RCPT, as far as limits and policy have a say in them."""

from __future__ import annotations

from ingress_smtp.commands import Mail
from ingress_smtp.conversation import Conversation
from ingress_smtp.replies import Reply
from ingress_smtp.steps import Judge
from posthouse.mail.admission import MailQuestion, RcptQuestion


async def judge(session: Conversation, step: Judge) -> Reply:
    """Look at the limits, then ask policy; the transaction goes on only if both accept."""
    command, state, client = step.command, session.state, session.wire.client
    gate, limits = session.house.gate, session.house.limits
    counted = limits.message if isinstance(command, Mail) else limits.recipient
    if objection := counted(client, state.auth):
        return objection
    if isinstance(command, Mail):
        its = command.parameters.handling
        if its.hold and (objection := await session.house.holding.objection(state.auth)):
            return objection
        reply = await gate.sender(
            MailQuestion(sender=command.sender, auth=state.auth, client=client, helo=state.hello)
        )
    else:
        sender = state.mail.sender if state.mail else ""
        reply = await gate.recipient(
            RcptQuestion(
                recipient=command.recipient,
                sender=sender,
                auth=state.auth,
                client=client,
                helo=state.hello,
                is_relay=state.terms.role == "lmtp",
            )
        )
    if reply.accepts:
        session.state = step.state
    return reply
