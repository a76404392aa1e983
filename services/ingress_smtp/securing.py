"""Securing a session: STARTTLS (RFC 3207) and AUTH (RFC 4954), carried out."""

from __future__ import annotations

from ingress_smtp import replies, transaction
from ingress_smtp.commands import Auth
from ingress_smtp.conversation import SAID, Conversation
from ingress_smtp.framing import MAX_AUTH_OCTETS
from ingress_smtp.replies import Reply

MAX_FAILED_LOGINS = 3


async def take_tls(session: Conversation) -> Reply:
    """Shake hands; what was sent in plain text behind STARTTLS ends the session."""
    if session.talk.has_more:
        return replies.INJECTED
    await session.talk.start_tls(replies.OK_TLS)
    session.state = transaction.encrypted(session.state, offered(session))
    return SAID


def offered(session: Conversation) -> tuple[str, ...]:
    """Return the mechanisms that EHLO tells; those who bring mail for us have no accounts."""
    if session.state.terms.role != "submission":
        return ()
    return session.house.authentication.offered(session.wire)


async def take_auth(session: Conversation, command: Auth) -> Reply:
    """Run the SASL exchange (RFC 4954 §4)."""

    async def ask(challenge: bytes) -> bytes:
        session.talk.say(b"334 " + challenge + b"\r\n")
        return await session.talk.line(MAX_AUTH_OCTETS)

    login = await session.house.authentication.login(command, session.wire, ask)
    if login.account:
        if objection := session.house.limits.login(login.account):
            return objection
        session.state = transaction.authenticated(session.state, login.account)
    elif login.reply is replies.AUTH_WRONG:
        session.failed_logins += 1
        if session.failed_logins >= MAX_FAILED_LOGINS:
            return replies.AUTH_TOO_OFTEN
    return login.reply
