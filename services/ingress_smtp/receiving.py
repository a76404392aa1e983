"""Receiving: DATA, from 354 to the reply behind the message (RFC 5321 §4.1.1.4)."""

from __future__ import annotations

from contextlib import closing

from ingress_smtp import replies, transaction
from ingress_smtp.conversation import SAID, Conversation
from ingress_smtp.draft import Draft, Letter
from ingress_smtp.extensions import MailParameters
from ingress_smtp.replies import Reply
from ingress_smtp.stamps import Arrival
from ingress_smtp.timing import Steps
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

_REFUSED = counter(
    "posthouse_ingress_messages_refused_total", "Messages refused after DATA.", "code"
)
log = get_logger()


async def take_data(session: Conversation) -> Reply:
    """Read a message and accept it, or say why not."""
    house = session.house
    if house.reception.space.is_full:
        return replies.NO_MEMORY
    session.owed = session.state.answers
    session.talk.say(replies.GO_AHEAD.wire)
    await session.talk.flush()
    letterhead = house.acceptance.letterhead(_arrival(session))
    limit = session.state.terms.message_octets_max
    with closing(house.reception.open(letterhead, limit=limit)) as draft:
        steps = Steps()
        await session.talk.message(draft)
        steps.done("receive")
        return await _decide(session, draft, letterhead.arrival)


async def _decide(session: Conversation, draft: Draft, arrival: Arrival) -> Reply:
    """End the transaction: accept what was received, or say why not."""
    session.state = transaction.reset(session.state)
    steps = Steps()
    letter = await draft.letter(
        recipients=[to.recipient for to in arrival.recipients],
        declared=arrival.body != "7BIT" or arrival.smtputf8,
    )
    steps.done("judge")
    if letter is not None:
        return await _accept(session, arrival, letter)
    objection = draft.refusal or replies.UNAVAILABLE
    _REFUSED.labels(str(objection.code)).inc()
    log.info("message refused", client=session.wire.client, reply=str(objection))
    return objection


async def _accept(session: Conversation, arrival: Arrival, letter: Letter) -> Reply:
    """Take responsibility, say so, and only then put it on the road (promises 1 and 5)."""
    inbound = await session.house.acceptance.accept(arrival, letter)
    session.messages += 1
    session.fruitless = 0
    session.talk.say(f"250 2.0.0 Ok: queued as {inbound.id}\r\n".encode() * session.owed)
    log.info(
        "message accepted",
        envelope=inbound.id,
        sender=inbound.sender,
        recipients=len(inbound.recipients),
        octets=inbound.size,
        client=session.wire.client,
        auth=inbound.auth,
    )
    if not session.talk.has_more:
        await session.talk.flush()
    await session.house.acceptance.publish(inbound)
    return SAID


def _arrival(session: Conversation) -> Arrival:
    state = session.state
    mail = state.mail
    parameters = mail.parameters if mail else MailParameters()
    return Arrival(
        client=session.wire.client,
        hello=state.hello,
        extended=state.extended,
        tls=session.wire.tls,
        auth=state.auth,
        is_submission=state.terms.role == "submission",
        sender=mail.sender if mail else "",
        recipients=tuple({to.recipient: to for to in state.recipients}.values()),
        body=parameters.body,
        smtputf8=parameters.smtputf8,
        handling=parameters.handling,
        is_lmtp=state.terms.role == "lmtp",
    )
