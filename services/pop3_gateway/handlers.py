"""What each command does (RFC 1939 §5-§7, RFC 2449 §5, RFC 2595 §4, RFC 5034 §4, RFC 6856)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Any

from pop3_gateway import commands as c
from pop3_gateway import languages, replies
from pop3_gateway.connection import Gone, LineTooLong
from pop3_gateway.login import Exchange, Refusal
from pop3_gateway.maildrops import is_small
from pop3_gateway.session import Failed, Session
from pop3_gateway.state import capabilities
from posthouse.credentials import exchange
from posthouse.mail.errors import Unavailable
from posthouse.storage.maildrop import LeaseLost
from posthouse.telemetry.metrics import counter

LISTED_AT_ONCE = 5000  # lines, between two looks at whether the client takes them

_retrieved = counter("posthouse_pop3_retrieved_total", "Messages sent by RETR.")
_deleted = counter("posthouse_pop3_deleted_total", "Messages removed at QUIT.")


# ---- any state


async def _capa(session: Session, _command: c.Capa) -> None:
    has_tls = session.house.certificate is not None
    session.say("Capability list follows")
    found = capabilities(
        session.state,
        can_start_tls=has_tls and session.connection.tls is None,
        mechanisms=session.house.authenticator.offered(session.channel),
        can_log_in=session.house.authenticator.takes_passwords(session.channel),
    )
    session.connection.write(replies.lines(found))


async def _quit(session: Session, _command: c.Quit) -> None:
    session.is_over = True
    if session.opened is not None:
        try:
            removed = await session.house.maildrops.update(session.opened)
        except LeaseLost:
            raise Failed("The lock was lost; nothing was removed", "SYS/TEMP") from None
        session.opened = None
        _deleted.inc(removed)
    session.say("Bye")


async def _lang(session: Session, command: c.Lang) -> None:
    if command.wanted is None:
        session.say("Languages follow")
        names = languages.NAMES.items()
        session.connection.write(replies.lines(f"{tag} {name}".encode() for tag, name in names))
        return
    tag = languages.chosen(command.wanted)
    if tag is None:
        raise Failed("No such language")
    session.language = tag
    session.connection.write(replies.ok(f"{tag} {languages.spoken('Language changed', tag)}"))


# ---- AUTHORIZATION


async def _utf8(session: Session, _command: c.Utf8) -> None:
    session.is_utf8 = True
    session.say("UTF-8 it is")


async def _stls(session: Session, _command: c.Stls) -> None:
    if session.connection.tls is not None:
        raise Failed("TLS is on already")
    if session.is_utf8:
        raise Failed("Not allowed after UTF8")  # RFC 6856 §2.1
    if session.house.certificate is None:
        raise Failed("TLS is not available")
    if session.connection.has_more:
        # Plaintext behind STLS would be taken for commands under TLS (RFC 2595 §4).
        session.is_over = True
        raise Failed("Nothing may follow STLS")
    session.say("Begin TLS")
    session.user, session.language = "", languages.ENGLISH  # what was learned in plaintext
    await session.connection.start_tls(session.house.certificate)


async def _user(session: Session, command: c.User) -> None:
    _demand_passwords(session)
    session.user = command.name
    session.say()


async def _pass(session: Session, command: c.Pass) -> None:
    _demand_passwords(session)
    user, session.user = session.user, ""
    if not user:
        raise Failed("USER first, please")
    authenticator = session.house.authenticator
    await _log_in(session, lambda channel: authenticator.log_in(user, command.password, channel))


async def _auth(session: Session, command: c.Auth) -> None:
    authenticator = session.house.authenticator
    if not command.mechanism:
        session.say("Mechanisms follow")
        names = authenticator.offered(session.channel)
        session.connection.write(replies.lines(name.encode() for name in names))
        return
    _demand_secrecy(session)

    async def ask(challenge: bytes) -> bytes:
        session.connection.write(b"+ " + challenge + b"\r\n")
        try:
            return await session.read(exchange.MAX_RESPONSE_OCTETS)
        except LineTooLong:
            return exchange.CANCEL

    mechanism, initial = command.mechanism, command.initial
    await _log_in(session, lambda channel: authenticator.converse(mechanism, initial, channel, ask))


def _demand_secrecy(session: Session) -> None:
    if not session.channel.is_private:
        raise Failed("TLS first, please")


def _demand_passwords(session: Session) -> None:
    _demand_secrecy(session)
    if not session.house.authenticator.takes_passwords(session.channel):
        raise Failed("AUTH, please")


async def _log_in(session: Session, converse: Exchange) -> None:
    result = await session.login.enter(converse, session.channel)
    if isinstance(result, Refusal):
        session.is_over = session.login.is_over
        raise Failed(result.text, result.code)
    session.opened = result
    count, octets = session.view.stat()
    session.say("%d messages, %d octets", count, octets)


# ---- TRANSACTION


async def _noop(session: Session, _command: c.Noop) -> None:
    session.say()


async def _stat(session: Session, _command: c.Stat) -> None:
    count, octets = session.view.stat()
    session.say(f"{count} {octets}")


async def _list(session: Session, command: c.List) -> None:
    async def lines(positions: Sequence[int]) -> list[bytes]:
        return [session.view.listing(at) for at in positions]

    await _listed(session, command.number, lines)


async def _uidl(session: Session, command: c.Uidl) -> None:
    async def lines(positions: Sequence[int]) -> list[bytes]:
        brought = await session.house.maildrops.unique_ids(session.mine, positions)
        return [session.view.unique_id(at, brought) for at in positions]

    await _listed(session, command.number, lines)


async def _listed(
    session: Session, number: int | None, lines: Callable[[Sequence[int]], Awaitable[list[bytes]]]
) -> None:
    if number is not None:
        [line] = await lines([session.view.at(number)])
        session.say(line.decode())
        return
    positions = session.view.positions()
    groups = iter(lambda: list(islice(positions, LISTED_AT_ONCE)), [])
    first = await lines(next(groups, []))  # what fails here is an error, and later the end
    session.say()
    session.connection.write(b"".join(line + b"\r\n" for line in first))
    try:
        for group in groups:
            await session.drain()
            await asyncio.sleep(0)  # others get their turn, however quickly this client takes it
            session.connection.write(b"".join([line + b"\r\n" for line in await lines(group)]))
    except Unavailable as trouble:
        raise Gone from trouble
    session.connection.write(replies.END)


async def _retr(session: Session, command: c.Retr) -> None:
    maildrops, at = session.house.maildrops, session.view.at(command.number)
    place = await maildrops.place(session.mine, at)
    size = session.view.drop.sizes[at]
    if is_small(place):
        octets = await maildrops.read_whole(place, is_utf8=session.is_utf8)
        session.send_whole(octets, "%d octets", size)
    else:
        pieces = maildrops.read(place, is_utf8=session.is_utf8)
        await session.send(pieces, "%d octets", size)
    _retrieved.inc()
    maildrops.note_read(place)


async def _top(session: Session, command: c.Top) -> None:
    at = session.view.at(command.number)
    pieces = session.house.maildrops.top(session.mine, at, command.lines, is_utf8=session.is_utf8)
    await session.send(pieces)


async def _dele(session: Session, command: c.Dele) -> None:
    if not session.house.maildrops.is_ours(session.mine):
        raise Failed("The lock was lost", "SYS/TEMP")
    session.view.mark(command.number)
    session.say()


async def _rset(session: Session, _command: c.Rset) -> None:
    session.view.unmark_all()
    session.say()


HANDLERS: dict[type[c.Command], Callable[[Session, Any], Awaitable[None]]] = {
    c.Capa: _capa,
    c.Quit: _quit,
    c.Stls: _stls,
    c.User: _user,
    c.Pass: _pass,
    c.Auth: _auth,
    c.Utf8: _utf8,
    c.Lang: _lang,
    c.Noop: _noop,
    c.Stat: _stat,
    c.List: _list,
    c.Uidl: _uidl,
    c.Retr: _retr,
    c.Top: _top,
    c.Dele: _dele,
    c.Rset: _rset,
}
