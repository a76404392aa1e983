"""The conversation: greeting, command after command, farewell (RFC 1939 §3).

Replies to pipelined commands are sent in their order (RFC 2449 §6.6). The maildrop is the
session's from the login to the end, however that comes; only QUIT removes what was marked.
"""

from __future__ import annotations

import asyncio

from pop3_gateway import commands
from pop3_gateway.connection import Gone, LineTooLong
from pop3_gateway.drop import NoSuchMessage
from pop3_gateway.handlers import HANDLERS
from pop3_gateway.session import Failed, Session
from pop3_gateway.state import ALLOWED, State
from posthouse.mail.errors import MissingObject, Unavailable
from posthouse.telemetry.logs import about, get_logger
from posthouse.telemetry.metrics import counter

MAX_LINE_OCTETS = 1024  # RFC 2449 §4 asks for 255; passwords may be long
TURNS_AT_ONCE = 50  # commands, before other sessions get their turn
MAX_TROUBLES = 10  # lines that are no command, before the connection is ended

log = get_logger()
_commands = counter("posthouse_pop3_commands_total", "Commands, by their outcome.", "command", "ok")


async def converse(session: Session) -> None:
    """Talk until the client has gone, said QUIT, or stayed silent for too long."""
    connection = session.connection
    with about(peer=connection.peer):
        try:
            session.say("Posthouse POP3 ready")
            troubles = turns = 0
            while not session.is_over:
                troubles += not await _turn(session)
                session.is_over |= troubles >= MAX_TROUBLES
                turns += 1
                if not turns % TURNS_AT_ONCE:
                    await asyncio.sleep(0)  # pipelined commands may never wait
            connection.close()
        except Gone:
            connection.abort()
        except TimeoutError:
            connection.close()  # with what ends TLS, but without a word (RFC 1939 §3)
        except Exception:
            log.exception("session failed")
            session.refuse("Internal error", "SYS/TEMP")
            connection.close()
        finally:
            if session.opened is not None:
                await session.house.maildrops.close(session.opened)


async def _turn(session: Session) -> bool:
    """Read one command and answer it; False if it was none."""
    try:
        command = commands.parse(await session.read(MAX_LINE_OCTETS))
    except LineTooLong:
        session.refuse("Line too long")
        return False
    except commands.BadSyntax as bad:
        session.refuse(str(bad))
        return False
    name = type(command).__name__.lower()
    try:
        await _answer(session, command)
        _commands.labels(name, "yes").inc()
    except Failed as failed:
        session.refuse(failed.text, failed.code)
        _commands.labels(name, "no").inc()
    await session.drain()
    return True


async def _answer(session: Session, command: commands.Command) -> None:
    """Do what ``command`` says; everything that concerns the client becomes `Failed`."""
    if type(command) not in ALLOWED[session.state]:
        is_too_early = session.state is State.AUTHORIZATION
        raise Failed("Log in first" if is_too_early else "Not allowed after the login")
    try:
        await HANDLERS[type(command)](session, command)
    except NoSuchMessage:
        raise Failed("No such message") from None
    except Unavailable as trouble:
        log.warning("command not possible", reason=str(trouble))
        raise Failed("Please try again later", "SYS/TEMP") from trouble
    except MissingObject as missing:
        log.info("message not sent", reason=str(missing))
        raise Failed("The message is missing", "SYS/PERM") from missing
