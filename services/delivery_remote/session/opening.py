"""Opening a session: connect, greeting, EHLO, TLS, login (RFC 5321 §3.1, §3.2; RFC 3207; RFC 4954).

Opportunistic TLS is never a reason not to deliver: if a server offers STARTTLS and it fails, the
same address is asked once more on a new connection, in plain text. A login happens over TLS with a
certificate that fits, or not at all.
"""

from __future__ import annotations

import asyncio
import base64
import os
from dataclasses import dataclass

from aiosmtplib.errors import SMTPException
from aiosmtplib.esmtp import parse_esmtp_extensions

from delivery_remote.routes import Login, Target, Tls
from delivery_remote.session.line import Line
from delivery_remote.session.manners import Manners
from delivery_remote.session.transaction import Session
from delivery_remote.transcript import Answer, Lost, Refusal, Reply, Stage
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

READY = 220
CHALLENGE = 334  # RFC 4954 §4

_opened = counter(
    "posthouse_remote_sessions_total", "Sessions with servers outside, by how they opened", "result"
)

log = get_logger()


class Refused(Exception):
    """No session came about.

    Attributes:
        refusal: Where it ended, and what was said.
    """

    def __init__(self, stage: Stage, answer: Answer) -> None:
        super().__init__(f"{stage.value}: {answer}")
        self.refusal = Refusal(stage, answer)


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
            response = await self.line.read_response(self.manners.patience.greeting)
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
    """Open a session with ``target``, without TLS if ``plain``.

    Raises:
        Refused: The server, or the way to it, is not there for us.
    """
    try:
        session = await _open(target, manners, plain=plain and target.tls is Tls.OPPORTUNISTIC)
    except Refused as refused:
        if refused.refusal.stage is not Stage.TLS or target.tls is not Tls.OPPORTUNISTIC:
            _opened.labels("refused").inc()
            raise
        log.warning("TLS failed, plain text used", host=str(target), why=str(refused))
        _opened.labels("tls_failed").inc()
        session = await _open(target, manners, plain=True)
        session.has_failed_tls = True
    _opened.labels("tls" if session.tls else "plain").inc()
    return session


async def _open(target: Target, manners: Manners, *, plain: bool) -> Session:
    caller = _Caller(target, manners, await _connect(target, manners))
    try:
        await caller.need(Stage.GREETING)
        extensions = await _hello(caller)
        if not plain and await _secured(caller, extensions):
            extensions = await _hello(caller)  # RFC 3207 §4.2: what was said before is void
        if target.login is not None:
            await _log_in(caller, target.login, extensions.get("auth", ""))
    except BaseException:
        caller.line.abort()
        raise
    return Session(caller.line, target, extensions, manners.patience)


async def _connect(target: Target, manners: Manners) -> Line:
    context = manners.verified if target.tls is Tls.IMPLICIT else None
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(manners.patience.connect):
            _, line = await loop.create_connection(
                Line,
                target.address,
                target.port,
                ssl=context,
                server_hostname=target.host if context else None,
            )
    except TimeoutError:
        raise Refused(Stage.CONNECT, Lost("the connection was not taken in time")) from None
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise Refused(Stage.CONNECT, Lost(why)) from error
    return line


async def _hello(caller: _Caller) -> dict[str, str]:
    """Return what the server offers; nothing if it knows only HELO (RFC 5321 §3.2)."""
    name = caller.manners.hostname.encode()
    reply = await caller.ask(Stage.HELLO, b"EHLO " + name)
    if reply.is_positive:
        extensions, mechanisms = parse_esmtp_extensions(reply.text)
        return extensions | {"auth": " ".join(mechanisms)}
    if reply.is_permanent:
        await caller.need(Stage.HELLO, b"HELO " + name)
        return {}
    raise Refused(Stage.HELLO, reply)


async def _secured(caller: _Caller, extensions: dict[str, str]) -> bool:
    """Begin TLS if the server can; True if TLS began just now."""
    target, manners = caller.target, caller.manners
    if target.tls is Tls.IMPLICIT:
        return False
    if "starttls" not in extensions:
        if target.tls is Tls.REQUIRED:
            raise Refused(Stage.TLS, Reply(454, "4.7.0 the next hop does not offer STARTTLS"))
        return False
    reply = await caller.ask(Stage.TLS, b"STARTTLS")
    if reply.code != READY:
        raise Refused(Stage.TLS, reply)
    try:
        await caller.line.encrypt(
            manners.context(target.tls), target.host, manners.patience.greeting
        )
    except SMTPException as broken:
        raise Refused(Stage.TLS, Lost(str(broken))) from broken
    return True


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
