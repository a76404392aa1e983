"""One SMTP session: has `transaction` decide and others carry out, on a wire that it is given.

    line ─▶ commands ─▶ transaction ─▶ judging · receiving · securing ─▶ reply

A failure of ours is 451, never 5yz (promise 6).
"""

from __future__ import annotations

import time
from typing import assert_never

from msgspec.structs import replace

from ingress_smtp import commands, replies, transaction
from ingress_smtp.conversation import Conversation, House
from ingress_smtp.exchange import Exchange, Gone, Wire
from ingress_smtp.framing import BadLine
from ingress_smtp.greeting import greet, speak_for
from ingress_smtp.judging import judge
from ingress_smtp.limits import TOO_MANY_FAILURES
from ingress_smtp.obliging import oblige
from ingress_smtp.receiving import receive
from ingress_smtp.replies import Reply, say
from ingress_smtp.securing import offered, take_auth, take_tls
from ingress_smtp.steps import (
    Judge,
    Oblige,
    Say,
    State,
    Step,
    TakeAuth,
    TakeChunk,
    TakeData,
    TakeTls,
    TakeXClient,
)
from ingress_smtp.terms import Terms
from ingress_smtp.timing import Answering
from ingress_smtp.transaction import decide
from posthouse.mail.errors import MailFailure
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

MAX_ERRORS = 20  # replies of the 50z kind before the session is ended
MAX_FRUITLESS = 300  # replies on the way to no message: refused recipients, NOOP, RSET and the like

_BUGS = counter("posthouse_ingress_exceptions_total", "Exceptions answered with 451.")
log = get_logger()


class Session:
    """The conversation with one client."""

    def __init__(self, wire: Wire, terms: Terms, house: House) -> None:
        state = State(
            terms=terms, secure=wire.tls is not None, may_xclient=wire.client in terms.xclients
        )
        self._its = Conversation(wire=wire, talk=Exchange(wire), house=house, state=state)
        self._its.state = replace(state, mechanisms=offered(self._its))
        self._errors = 0
        self._turns = 0
        self._closing = False
        self._said_bye = False

    @property
    def is_idle(self) -> bool:
        """True if no transaction is open and no command runs: it may be ended at any time."""
        return self._its.talk.is_waiting and self._its.state.mail is None

    def finish(self) -> None:
        """Take no new transaction; the session ends when the running one is done."""
        self._closing = True

    async def run(self) -> bool:
        """Talk until one side ends it; True if we did and the client may still be talking."""
        began = time.monotonic()
        its = self._its
        try:
            if not await greet(its):
                await its.talk.flush()
                return True
            while not await self._turn():
                pass
            await its.talk.flush()
        except Gone:
            return False
        else:
            return not (self._said_bye or self._closing)
        finally:
            its.state = transaction.reset(its.state)
            its.tidy()
            log.info(
                "session ended",
                client=its.wire.client,
                hello=its.state.hello,
                role=its.state.terms.role,
                tls=its.wire.tls.version if its.wire.tls else None,
                auth=its.state.auth,
                messages=its.messages,
                turns=self._turns,
                errors=self._errors,
                seconds=round(time.monotonic() - began, 3),
            )

    async def _turn(self) -> bool:
        """Read one command and answer it; True if the session is to end."""
        talk = self._its.talk
        if self._closing and self._its.state.mail is None:
            talk.say(replies.SHUTTING_DOWN.wire)
            return True
        try:
            line = await talk.line()
            self._turns += 1
            reply = await self._answered(line)
        except BadLine as bad:
            reply = bad.reply
        talk.say(reply.wire * self._its.owed)
        self._its.owed = 1
        if farewell := self._out_of_patience(reply):
            talk.say(farewell.wire)
            return True
        self._said_bye = reply is replies.BYE
        # After a failure of ours within a message what comes next is no command.
        return reply.closes or talk.is_within

    def _out_of_patience(self, reply: Reply) -> Reply | None:
        """Count ``reply``; return our last one if there was nonsense, or no end, for long enough."""
        its = self._its
        self._errors += reply.wire.startswith(b"50")  # a fault in the client's grammar or order
        its.fruitless += _is_fruitless(reply)
        if self._errors >= MAX_ERRORS or its.fruitless >= MAX_FRUITLESS:
            return replies.TOO_MANY_ERRORS
        if not its.house.limits.replied(reply, its.wire.client, its.state.auth):
            return TOO_MANY_FAILURES
        return None

    async def _answered(self, line: bytes) -> Reply:
        its = self._its
        try:
            command = commands.parse(line)
            with Answering(command):
                return await self._carry_out(decide(its.state, command))
        except MailFailure as failure:
            return say(f"{failure.status} {failure.public}")
        except (Gone, BadLine):
            raise
        except Exception:
            _BUGS.inc()
            log.exception("command failed", client=its.wire.client)
            its.state = transaction.reset(its.state)
            return replies.UNAVAILABLE
        finally:
            its.tidy()

    async def _carry_out(self, step: Step) -> Reply:
        reply: Reply
        match step:
            case Say():
                self._its.state = step.state
                reply = step.reply
            case Judge():
                reply = await judge(self._its, step)
            case TakeData() | TakeChunk():
                reply = await receive(self._its, step)
            case TakeTls() | TakeAuth():
                reply = await _secure(self._its, step)
            case TakeXClient():
                reply = speak_for(self._its, step)
            case Oblige():
                reply = await oblige(self._its, step)
            case _:
                assert_never(step)
        return reply


async def _secure(session: Conversation, step: TakeTls | TakeAuth) -> Reply:
    if isinstance(step, TakeTls):
        return await take_tls(session)
    return await take_auth(session, step.command)


def _is_fruitless(reply: Reply) -> bool:
    """True if no message comes nearer; 4yz does not count, it is our fault or our limit."""
    if reply is replies.OK_RECIPIENT or reply is replies.OK_SENDER or reply is replies.OK_CHUNK:
        return False
    return reply.wire.startswith((b"2", b"5"))
