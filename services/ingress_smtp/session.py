"""One SMTP session: carries out what `transaction` decides, on a wire that it is given.

A failure of ours is 451, never 5yz (promise 6).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import assert_never

from ingress_smtp import commands, replies, transaction
from ingress_smtp.authentication import Authentication
from ingress_smtp.commands import Auth, Mail
from ingress_smtp.exchange import Exchange, Gone, Wire
from ingress_smtp.extensions import MailParameters
from ingress_smtp.framing import MAX_AUTH_OCTETS, BadLine, flaw
from ingress_smtp.intake import Acceptance
from ingress_smtp.reception import Budget
from ingress_smtp.recipients import Gate
from ingress_smtp.replies import Reply, say
from ingress_smtp.stamps import Arrival
from ingress_smtp.transaction import (
    Judge,
    Say,
    State,
    Step,
    TakeAuth,
    TakeData,
    TakeTls,
    Terms,
    decide,
)
from posthouse.credentials import sasl
from posthouse.credentials.sasl import Challenge
from posthouse.mail.admission import MailQuestion, RcptQuestion
from posthouse.mail.errors import MailFailure
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

MAX_ERRORS = 20  # replies of the 50z kind before the session is ended
MAX_FRUITLESS = 300  # replies on the way to no message: refused recipients, NOOP, RSET and the like
MAX_FAILED_LOGINS = 3

_REFUSED = counter(
    "posthouse_ingress_messages_refused_total", "Messages refused after DATA.", "code"
)
_BUGS = counter("posthouse_ingress_exceptions_total", "Exceptions answered with 451.")
log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """The parts that all sessions share."""

    gate: Gate
    acceptance: Acceptance
    authentication: Authentication
    budget: Budget


class Session:
    """The conversation with one client."""

    def __init__(self, wire: Wire, terms: Terms, house: House) -> None:
        self._wire = wire
        self._house = house
        self._state = State(terms=terms, secure=wire.tls is not None)
        self._talk = Exchange(wire)
        self._errors = self._fruitless = 0
        self._failed_logins = 0
        self._messages = 0
        self._closing = False
        self._said_bye = False

    @property
    def is_idle(self) -> bool:
        """True if no transaction is open and no command runs: it may be ended at any time."""
        return self._talk.is_waiting and self._state.mail is None

    def finish(self) -> None:
        """Take no new transaction; the session ends when the running one is done."""
        self._closing = True

    async def run(self) -> bool:
        """Talk until one side ends it; True if we did and the client may still be talking."""
        began = time.monotonic()
        try:
            self._talk.say(f"220 {self._state.terms.hostname} ESMTP Posthouse\r\n".encode())
            while not await self._turn():
                pass
            await self._talk.flush()
        except Gone:
            return False
        else:
            return not (self._said_bye or self._closing)
        finally:
            log.info(
                "session ended",
                client=self._wire.client,
                hello=self._state.hello,
                role=self._state.terms.role,
                auth=self._state.auth,
                messages=self._messages,
                errors=self._errors,
                seconds=round(time.monotonic() - began, 3),
            )

    async def _turn(self) -> bool:
        """Read one command and answer it; True if the session is to end."""
        if self._closing and self._state.mail is None:
            self._talk.say(replies.SHUTTING_DOWN.wire)
            return True
        try:
            reply = await self._answered(await self._talk.line())
        except BadLine as bad:
            reply = bad.reply
        self._talk.say(reply.wire)
        if self._is_out_of_patience(reply):
            self._talk.say(replies.TOO_MANY_ERRORS.wire)
            return True
        self._said_bye = reply is replies.BYE
        return reply.closes

    def _is_out_of_patience(self, reply: Reply) -> bool:
        """Count ``reply``; True if the client has talked nonsense, or to no end, for long enough."""
        self._errors += _is_error(reply)
        self._fruitless += _is_fruitless(reply)
        return self._errors >= MAX_ERRORS or self._fruitless >= MAX_FRUITLESS

    async def _answered(self, line: bytes) -> Reply:
        try:
            step = decide(self._state, commands.parse(line))
            return await self._carry_out(step)
        except MailFailure as failure:
            return say(f"{failure.status} {failure.public}")
        except (Gone, BadLine):
            raise
        except Exception:
            _BUGS.inc()
            log.exception("command failed", client=self._wire.client)
            self._state = transaction.reset(self._state)
            return replies.UNAVAILABLE

    async def _carry_out(self, step: Step) -> Reply:
        match step:
            case Say():
                self._state = step.state
                return step.reply
            case Judge():
                return await self._judge(step)
            case TakeData():
                return await self._take_data()
            case TakeTls():
                return await self._take_tls()
            case TakeAuth():
                return await self._take_auth(step.command)
            case _:
                assert_never(step)

    async def _judge(self, step: Judge) -> Reply:
        """Ask policy; the transaction goes on only if it accepts."""
        command, state, client = step.command, self._state, self._wire.client
        if isinstance(command, Mail):
            reply = await self._house.gate.sender(
                MailQuestion(
                    sender=command.sender, auth=state.auth, client=client, helo=state.hello
                )
            )
        else:
            sender = state.mail.sender if state.mail else ""
            reply = await self._house.gate.recipient(
                RcptQuestion(
                    recipient=command.recipient, sender=sender, auth=state.auth, client=client
                )
            )
        if reply.accepts:
            self._state = step.state
        return reply

    async def _take_tls(self) -> Reply:
        """Shake hands; what was sent in plain text behind STARTTLS ends the session."""
        if self._talk.has_more:
            return replies.INJECTED
        await self._talk.start_tls(replies.OK_TLS)
        self._state = transaction.encrypted(self._state)
        return _NOTHING

    async def _take_auth(self, command: Auth) -> Reply:
        """Run the SASL exchange (RFC 4954 §4)."""
        exchange = sasl.start(command.mechanism, command.initial)
        while isinstance(exchange, Challenge):
            self._talk.say(b"334 " + exchange.wire + b"\r\n")
            exchange = sasl.answer(exchange, await self._talk.line(MAX_AUTH_OCTETS))
        login = await self._house.authentication.login(exchange, self._wire.client)
        if login.account:
            self._state = transaction.authenticated(self._state, login.account)
        elif login.reply is replies.AUTH_WRONG:
            self._failed_logins += 1
            if self._failed_logins >= MAX_FAILED_LOGINS:
                return replies.AUTH_TOO_OFTEN
        return login.reply

    async def _take_data(self) -> Reply:
        """Read a message and accept it, or say why not."""
        if self._house.budget.is_spent:
            return replies.NO_MEMORY
        self._talk.say(replies.GO_AHEAD.wire)
        await self._talk.flush()
        with self._house.budget.open() as share:
            limit = self._state.terms.message_octets_max
            content = await self._talk.message(limit, share)
            objection = content.refusal
            if objection is None:
                message = content.message()
                content.octets.clear()
                objection = flaw(message, content.ends, limit)
                if objection is None:
                    return await self._accept(message)
        _REFUSED.labels(str(objection.code)).inc()
        log.info("message refused", client=self._wire.client, reply=str(objection))
        self._state = transaction.reset(self._state)
        return objection

    async def _accept(self, message: bytes) -> Reply:
        """Take responsibility, say so, and only then put it on the road (promises 1 and 5)."""
        arrival, self._state = self._arrival(), transaction.reset(self._state)
        inbound = await self._house.acceptance.accept(arrival, message)
        self._messages += 1
        self._fruitless = 0
        self._talk.say(f"250 2.0.0 Ok: queued as {inbound.id}\r\n".encode())
        log.info(
            "message accepted",
            envelope=inbound.id,
            sender=inbound.sender,
            recipients=len(inbound.recipients),
            octets=inbound.size,
            client=self._wire.client,
            auth=inbound.auth,
        )
        if not self._talk.has_more:
            await self._talk.flush()
        await self._house.acceptance.publish(inbound)
        return _NOTHING

    def _arrival(self) -> Arrival:
        state = self._state
        mail = state.mail
        parameters = mail.parameters if mail else MailParameters()
        return Arrival(
            client=self._wire.client,
            hello=state.hello,
            extended=state.extended,
            tls=self._wire.tls,
            auth=state.auth,
            is_submission=state.terms.role == "submission",
            sender=mail.sender if mail else "",
            recipients=tuple(dict.fromkeys(state.recipients)),
            body=parameters.body,
            smtputf8=parameters.smtputf8,
        )


_NOTHING = Reply(b"")  # what was to be said has been said


def _is_error(reply: Reply) -> bool:
    """True for a fault in the client's grammar or order: 50z."""
    return reply.wire.startswith(b"50")


def _is_fruitless(reply: Reply) -> bool:
    """True if no message comes nearer; 4yz does not count, it is our fault or our limit."""
    if reply is replies.OK_SENDER or reply is replies.OK_RECIPIENT:
        return False
    return reply.wire.startswith((b"2", b"5"))
