"""Opening a session: connect, greeting, EHLO, TLS, login (RFC 5321 §3.1, §3.2; RFC 3207; RFC 4954).

Opportunistic TLS is never a reason not to deliver: if a server offers STARTTLS and it fails, the
same address is asked once more on a new connection, in plain text. So it is with a policy that is
only tested (RFC 8461 §5). Any other demand is kept, or there is no session; a login happens over
TLS with a certificate that fits, or not at all.
"""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from aiosmtplib.errors import SMTPException
from aiosmtplib.esmtp import parse_esmtp_extensions

from delivery_remote.routes import Login, Target, Tls
from delivery_remote.security.proofs import MAY, objection, server_name
from delivery_remote.session.line import Line
from delivery_remote.session.manners import Manners, nobody
from delivery_remote.session.transaction import Session
from delivery_remote.transcript import Answer, Lost, Refusal, Reply, Stage
from posthouse.mail.tls_words import Failure, Fault
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

READY = 220
CHALLENGE = 334  # RFC 4954 §4
NOT_OFFERED = Fault(Failure.STARTTLS_NOT_SUPPORTED, "the next hop does not offer STARTTLS")
_VERIFICATION = {10: Failure.EXPIRED, 62: Failure.HOST_MISMATCH}  # X509_V_ERR_... of OpenSSL

_opened = counter(
    "posthouse_remote_sessions_total", "Sessions with servers outside, by how they opened", "result"
)

log = get_logger()


class Refused(Exception):
    """No session came about.

    Attributes:
        refusal: Where it ended, and what was said.
        fault: What was wrong with its TLS; None if it ended elsewhere.
        source: The address of ours that was used; empty if it came to none.
    """

    source = ""

    def __init__(self, stage: Stage, answer: Answer, fault: Fault | None = None) -> None:
        super().__init__(f"{stage.value}: {answer}")
        self.refusal = Refusal(stage, answer)
        self.fault = fault


@dataclass(slots=True)
class _Caller:
    """One attempt to open a session."""

    target: Target
    manners: Manners
    line: Line

    async def ask(self, stage: Stage, command: bytes = b"") -> Reply:
        """Send ``command``, if any, and return the reply; raise `Refused` if there is none."""
        try:
            if command:
                self.line.write(command + b"\r\n")
            patience = self.manners.patience
            seconds = patience.hello if command else patience.greeting
            response = await self.line.read_response(seconds)
        except SMTPException as broken:
            raise Refused(stage, Lost(str(broken))) from broken
        return self.line.reply_of(response)

    async def need(self, stage: Stage, command: bytes = b"") -> Reply:
        """Like `ask`, but only a 2yz will do."""
        reply = await self.ask(stage, command)
        if not reply.is_positive:
            raise Refused(stage, reply)
        return reply


async def open_session(target: Target, manners: Manners, *, plain: bool = False) -> Session:
    """Open a session with ``target``, without TLS if ``plain`` and nothing demands it.

    Raises:
        Refused: The server, or the way to it, is not there for us.
    """
    wanted = target
    if plain and target.tls is Tls.OPPORTUNISTIC:
        wanted = replace(target, tls=Tls.NONE, demand=MAY)
    try:
        session = await _open(wanted, manners)
    except Refused as refused:
        softer = _softer(wanted) if refused.refusal.stage is Stage.TLS else None
        if refused.fault is not None:
            manners.tell(replace(wanted, source=refused.source), refused.fault)
        if softer is None:
            _opened.labels("refused").inc()
            raise
        log.warning("TLS failed, the mail goes all the same", host=str(target), why=str(refused))
        _opened.labels("tls_failed").inc()
        session = await open_session(softer, replace(manners, tell=nobody))
        session.has_failed_tls = not session.tls
        session.security += f", after {refused.fault}"
    else:
        _told(session, wanted, manners)
    session.target = target
    return session


def _softer(target: Target) -> Target | None:
    """Return how ``target`` is tried again after its TLS failed; None if it is not."""
    if target.tls is Tls.OPPORTUNISTIC:
        return replace(target, tls=Tls.NONE, demand=MAY)
    if target.tls is Tls.REQUIRED and target.demand.is_tested:
        return replace(target, tls=Tls.OPPORTUNISTIC, demand=MAY)
    return None


def _told(session: Session, target: Target, manners: Manners) -> None:
    _opened.labels("tls" if session.tls else "plain").inc()
    if target.tls is Tls.NONE or (_is_socket(target) and not session.tls):
        return
    came_from = replace(target, source=session.source)
    manners.tell(came_from, None if session.tls else NOT_OFFERED)
    if target.demand != MAY:
        log.info("session secured", host=str(target), tls=session.tls, policy=target.demand.name)


async def _open(target: Target, manners: Manners) -> Session:
    if target.demand.objection is not None:
        raise _insecure(target.demand.objection)
    caller = _Caller(target, manners, await _connect(target, manners))
    source = caller.line.own_address
    try:
        if target.tls is Tls.IMPLICIT:
            _prove(caller)
        await caller.need(Stage.GREETING)
        extensions = await _hello(caller)
        if await _secured(caller, extensions):
            extensions = await _hello(caller)  # RFC 3207 §4.2: what was said before is void
        if target.login is not None:
            await _log_in(caller, target.login, extensions.get("auth", ""))
    except BaseException as broken:
        if isinstance(broken, Refused):
            broken.source = source
        caller.line.abort()
        raise
    return Session(caller.line, target, extensions, manners)


async def _connect(target: Target, manners: Manners) -> Line:
    context = manners.context(target) if target.tls is Tls.IMPLICIT else None
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(manners.patience.connect):
            if _is_socket(target):
                return (await loop.create_unix_connection(Line, target.address))[1]
            _, line = await loop.create_connection(
                Line,
                target.address,
                target.port,
                ssl=context,
                local_addr=(target.source, 0) if target.source else None,
                server_hostname=server_name(target.demand.proof, target.host) if context else None,
            )
    except TimeoutError:
        raise Refused(Stage.CONNECT, Lost("the connection was not taken in time")) from None
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise Refused(Stage.CONNECT, Lost(why)) from error
    return line


async def _hello(caller: _Caller) -> dict[str, str]:
    """Return what the server offers; nothing if it knows only HELO (RFC 5321 §3.2).

    By LMTP it is LHLO, and nothing else will do (RFC 2033 §4.1).
    """
    name = (caller.target.hello or caller.manners.hostname).encode()
    word = b"LHLO " if caller.target.lmtp else b"EHLO "
    reply = await caller.ask(Stage.HELLO, word + name)
    if reply.is_positive:
        extensions, mechanisms = parse_esmtp_extensions(reply.text)
        return extensions | {"auth": " ".join(mechanisms)}
    if reply.is_permanent and not caller.target.lmtp:
        await caller.need(Stage.HELLO, b"HELO " + name)
        return {}
    raise Refused(Stage.HELLO, reply)


async def _secured(caller: _Caller, extensions: dict[str, str]) -> bool:
    """Begin TLS if the server can; True if TLS began just now."""
    target, manners = caller.target, caller.manners
    if target.tls in {Tls.IMPLICIT, Tls.NONE} or (
        target.tls is Tls.OPPORTUNISTIC and _is_socket(target)
    ):
        return False
    if "starttls" not in extensions:
        if target.tls is Tls.REQUIRED:
            raise _insecure(NOT_OFFERED)
        return False
    reply = await _wanted(caller)
    if reply.code != READY:
        raise Refused(Stage.TLS, reply, Fault(Failure.STARTTLS_NOT_SUPPORTED, str(reply)))
    name = server_name(target.demand.proof, target.host)
    try:
        await caller.line.encrypt(manners.context(target), name, manners.patience.hello)
    except SMTPException as broken:
        fault = _fault_of(broken.__cause__ or broken)
        answer = Lost(str(broken)) if fault.failure is Failure.VALIDATION else _words(fault)
        raise Refused(Stage.TLS, answer, fault) from broken
    _prove(caller)
    return True


def _is_socket(target: Target) -> bool:
    """True for a socket of this machine, where nobody needs TLS of his own accord."""
    return target.address.startswith("/")


async def _wanted(caller: _Caller) -> Reply:
    """Ask for TLS; a server that says nothing has failed at it."""
    try:
        return await caller.ask(Stage.TLS, b"STARTTLS")
    except Refused as silent:
        answer = silent.refusal.answer
        raise Refused(Stage.TLS, answer, Fault(Failure.VALIDATION, str(answer))) from silent


def _prove(caller: _Caller) -> None:
    """Hold what the server showed against what is demanded; raise `Refused`."""
    target = caller.target
    if target.tls is not Tls.OPPORTUNISTIC:
        fault = objection(target.demand.proof, caller.line.chain, datetime.now(UTC))
        if fault is not None:
            raise _insecure(fault)


def _insecure(fault: Fault) -> Refused:
    return Refused(Stage.TLS, _words(fault), fault)


def _words(fault: Fault) -> Reply:
    """Return a fault as a server would say it: 4.7.5, cryptographic failure (RFC 3463 §3.8)."""
    detail = 0 if fault.failure is Failure.STARTTLS_NOT_SUPPORTED else 5
    return Reply(454, f"4.7.{detail} {fault.why}")


def _fault_of(broken: BaseException) -> Fault:
    """Return why a handshake failed (RFC 8460 §4.3)."""
    if not isinstance(broken, ssl.SSLCertVerificationError):
        return Fault(Failure.VALIDATION, str(broken) or type(broken).__name__)
    failure = _VERIFICATION.get(broken.verify_code, Failure.NOT_TRUSTED)
    return Fault(failure, f"certificate not accepted: {broken.verify_message}")


async def _log_in(caller: _Caller, login: Login, mechanisms: str) -> None:
    """AUTH PLAIN (RFC 4616), or LOGIN where that is all there is. Never logged."""
    offered = mechanisms.lower().split()
    name, password = login.username.encode(), login.password.encode()
    if "plain" in offered:
        await caller.need(Stage.AUTH, b"AUTH PLAIN " + _encoded(b"\0" + name + b"\0" + password))
    elif "login" in offered:
        for words in (b"AUTH LOGIN", _encoded(name)):
            reply = await caller.ask(Stage.AUTH, words)
            if reply.code != CHALLENGE:
                raise Refused(Stage.AUTH, reply)
        await caller.need(Stage.AUTH, _encoded(password))
    else:
        raise Refused(Stage.AUTH, Reply(454, "4.7.0 no way to log in that we know is offered"))


def _encoded(octets: bytes) -> bytes:
    return base64.b64encode(octets)
