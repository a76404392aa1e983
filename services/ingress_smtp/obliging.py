"""Obliging: VRFY, EXPN (RFC 5321 §3.5) and ETRN (RFC 1985), carried out."""

from __future__ import annotations

from ingress_smtp import replies
from ingress_smtp.commands import Release, Verify
from ingress_smtp.conversation import Conversation
from ingress_smtp.replies import Reply
from ingress_smtp.steps import Oblige
from posthouse.mail.admission import ListQuestion

MAX_MEMBERS = 1000  # lines of one reply
USER_NOT_LOCAL = 551  # RFC 5321 §4.2.3


async def oblige(session: Conversation, step: Oblige) -> Reply:
    """Do what the client asked for."""
    match step.command:
        case Verify():
            return await _verify(session, step.command)
        case Release():
            return await _release(session, step.command)


async def _verify(session: Conversation, command: Verify) -> Reply:
    """Tell whether an address is known, or whom it stands for: as dear to ask as a recipient."""
    limits = session.house.limits
    if objection := limits.recipient(session.wire.client, session.state.auth):
        return objection
    question = ListQuestion(
        address=command.address,
        expand=command.expand,
        auth=session.state.auth,
        client=session.wire.client,
    )
    verdict = await session.house.gate.members(question)
    if isinstance(verdict, Reply):
        is_other = verdict.code == USER_NOT_LOCAL and not command.expand
        return replies.CANNOT_VERIFY if is_other else verdict
    if len(verdict.members) > MAX_MEMBERS:
        return replies.TOO_MANY_MEMBERS
    if not command.utf8 and not all(map(str.isascii, verdict.members)):
        return replies.NEEDS_UTF8_REPLY
    return replies.lines(250, *(f"2.1.5 <{member}>" for member in verdict.members))


async def _release(session: Conversation, command: Release) -> Reply:
    """Send what waits for a domain, if the client is one of its servers."""
    session.fruitless += 1  # whatever comes of it: 45z does not count by itself
    releases = session.house.releases
    if releases is None:
        return replies.NO_ETRN
    return await releases.release(command.domain, session.wire.client, below=command.below)
