"""Receiving: DATA or BDAT, to the reply behind the message (RFC 5321 §4.1.1.4, RFC 3030)."""

from __future__ import annotations

from ingress_smtp import replies, transaction
from ingress_smtp.conversation import SAID, Conversation
from ingress_smtp.draft import Draft, Letter
from ingress_smtp.parameters import MailParameters
from ingress_smtp.replies import Reply, say
from ingress_smtp.stamps import Arrival
from ingress_smtp.steps import TakeChunk, TakeData
from ingress_smtp.timing import Steps
from posthouse.mail.content import ContentVerdict
from posthouse.mime.transport import transportable
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

BASE64_GROWTH = 1.4  # 4 characters for 3 octets, and line ends: a message of the largest size

_REFUSED = counter(
    "posthouse_ingress_messages_refused_total", "Messages refused after DATA or BDAT.", "code"
)
log = get_logger()


async def receive(session: Conversation, step: TakeData | TakeChunk) -> Reply:
    """Read a message, or a part of it; accept it when it is whole, or say why not."""
    if isinstance(step, TakeChunk):
        return await _take_chunk(session, step)
    if session.house.reception.space.is_full:
        return replies.NO_MEMORY
    session.owed = session.state.answers
    session.talk.say(replies.GO_AHEAD.wire)
    await session.talk.flush()
    session.draft = _begun(session)
    steps = Steps()
    await session.talk.message(session.draft)
    steps.done("receive")
    return await _decide(session, session.draft)


async def _take_chunk(session: Conversation, step: TakeChunk) -> Reply:
    """Read the octets behind BDAT (RFC 3030 §2)."""
    is_first, is_last = session.draft is None, step.command.is_last
    draft = session.draft = session.draft or _begun(session)
    if step.objection is not None:
        draft.refuse(step.objection)
    elif is_first and session.house.reception.space.is_full:
        draft.refuse(replies.NO_MEMORY)
    await session.talk.chunk(step.command.octets, draft, is_first=is_first)
    if step.objection is not None:
        session.state = transaction.reset(session.state)
        return draft.refusal or step.objection
    if is_last or draft.refusal is not None:
        session.owed = session.state.answers if is_last else 1
        return await _decide(session, draft)
    session.state = transaction.chunked(session.state)
    return replies.OK_CHUNK if step.command.octets else replies.OK_NOTHING


def _begun(session: Conversation) -> Draft:
    """Return the draft of the message that is coming."""
    reception, limit = session.house.reception, session.state.terms.message_octets_max
    if _is_binary(session):
        return reception.open(None, limit=limit, is_binary=True)
    letterhead = session.house.acceptance.letterhead(_arrival(session))
    return reception.open(letterhead, limit=limit)


async def _without_binary(session: Conversation, raw: Draft) -> Draft:
    """Return the complete message anew, as any server can take it (RFC 3030 §3)."""
    limit = session.state.terms.message_octets_max * BASE64_GROWTH
    letterhead = session.house.acceptance.letterhead(_arrival(session))
    draft = session.house.reception.open(letterhead, limit=int(limit))
    try:
        await raw.rewrite(transportable, draft)
    finally:
        raw.close()
        session.draft = draft
    return draft


def _is_binary(session: Conversation) -> bool:
    mail = session.state.mail
    return mail is not None and mail.parameters.body == "BINARYMIME"


async def _decide(session: Conversation, draft: Draft) -> Reply:
    """End the transaction: accept what was received, or say why not."""
    arrival, is_binary = _arrival(session), _is_binary(session)
    if is_binary and draft.refusal is None:
        draft = await _without_binary(session, draft)
    session.state = transaction.reset(session.state)
    steps = Steps()
    letter = await draft.letter(
        recipients=[to.recipient for to in arrival.recipients],
        declared=is_binary or arrival.body != "7BIT" or arrival.smtputf8,
    )
    steps.done("inspect")
    if letter is None:
        return _refused(session, draft.refusal or replies.UNAVAILABLE)
    verdict = await session.house.contents.judge(arrival, letter)
    steps.done("judge")
    if verdict is not None and verdict.refuses:
        return _refused(session, say(f"{verdict.status} {verdict.text}"), verdict)
    if verdict is not None and verdict.action == "discard":
        return await _discard(session, arrival, letter, verdict)
    if verdict is not None and verdict.header:
        letter = await draft.under(letter, verdict.header)
    if letter is None:
        return _refused(session, draft.refusal or replies.UNAVAILABLE)
    return await _accept(session, arrival, letter, verdict)


def _refused(
    session: Conversation, objection: Reply, verdict: ContentVerdict | None = None
) -> Reply:
    """Count and log a refusal; the rules of a ``verdict`` are for the log alone."""
    _REFUSED.labels(str(objection.code)).inc()
    more = {"score": verdict.score, "rules": verdict.rules} if verdict else {}
    log.info("message refused", client=session.wire.client, reply=str(objection), **more)
    return objection


async def _discard(
    session: Conversation, arrival: Arrival, letter: Letter, verdict: ContentVerdict
) -> Reply:
    """Say 250 and throw it away; the ledger says by which rule (promise 4)."""
    await session.house.acceptance.discard(arrival, letter, verdict)
    session.messages += 1
    session.fruitless = 0
    log.info(
        "message discarded",
        envelope=letter.ident,
        sender=arrival.sender,
        rule=verdict.rule,
        rules=verdict.rules,
        client=session.wire.client,
    )
    return say(f"250 2.0.0 Ok: queued as {letter.ident}")


async def _accept(
    session: Conversation, arrival: Arrival, letter: Letter, verdict: ContentVerdict | None
) -> Reply:
    """Take responsibility, say so, and only then put it on the road (promises 1 and 5)."""
    inbound = await session.house.acceptance.accept(arrival, letter, verdict)
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
        is_submission=state.terms.role == "submission" or bool(state.auth),
        sender=mail.sender if mail else "",
        recipients=tuple({to.recipient: to for to in state.recipients}.values()),
        body="7BIT" if parameters.body == "BINARYMIME" else parameters.body,
        smtputf8=parameters.smtputf8,
        handling=parameters.handling,
        is_lmtp=state.terms.role == "lmtp",
    )
