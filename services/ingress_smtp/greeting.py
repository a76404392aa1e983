"""Greeting: the first word is ours (RFC 5321 §3.1), also when somebody speaks for another."""

from __future__ import annotations

from ingress_smtp import replies
from ingress_smtp.conversation import Conversation
from ingress_smtp.replies import Reply
from ingress_smtp.steps import TakeXClient
from ingress_smtp.xclient import UNKNOWN
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

_EARLY = counter(
    "posthouse_ingress_early_talkers_total", "Clients that did not await the greeting."
)
log = get_logger()


async def greet(session: Conversation) -> bool:
    """Say the first words; False if they were the last.

    Raises:
        Gone: The client did not wait for them.
    """
    limits, client = session.house.limits, session.wire.client
    # Who speaks for others is not counted: those are, one after the other.
    reply = None if session.state.may_xclient else limits.connection(client)
    if reply is None and await _talks_early(session):
        _EARLY.inc()
        log.info("early talker refused", client=client)
        reply = replies.EARLY_TALKER
        limits.replied(reply, client, "")
    session.talk.say((reply or session.state.terms.opening()).wire)
    return reply is None


async def _talks_early(session: Conversation) -> bool:
    """Let a stranger wait: a robot does not, and talks before it may."""
    terms = session.state.terms
    is_known = session.state.may_xclient or session.wire.client in terms.greet_at_once
    if terms.role != "mx" or not terms.greet_delay or is_known:
        return False
    return not await session.talk.is_silent_for(terms.greet_delay)


def speak_for(session: Conversation, step: TakeXClient) -> Reply:
    """Take the client for the one that it speaks for, and greet that one."""
    before = session.wire.client
    if step.client and step.client != before and (objection := _count(session, step.client)):
        return objection
    session.state = step.state
    log.info("client speaks for another", client=session.wire.client, proxy=before)
    return session.state.terms.opening()


def _count(session: Conversation, client: str) -> Reply | None:
    """Count ``client`` as if it had come itself; return what it is told if it is one too many.

    Those of whom the proxy knows no address stay its own.
    """
    if client == UNKNOWN:
        session.wire.client = client
        return None
    if objection := session.house.limits.connection(client):
        return objection
    return None if session.wire.speak_for(client) else replies.TOO_MANY_SESSIONS
