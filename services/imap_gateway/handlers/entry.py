"""Logging in (RFC 3501 §6.2, RFC 4959)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import MappingProxyType
from typing import Final, NoReturn, TypeAlias

from imap_gateway.client import Client, Done, Handlers
from imap_gateway.errors import Farewell, Misuse, Refusal
from imap_gateway.memory.guests import Guest
from imap_gateway.protocol import commands as c
from imap_gateway.state import State
from posthouse.credentials.exchange import Accepted, Channel, Failed
from posthouse.credentials.failures import pause_after
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

log = get_logger()
_logins = counter("posthouse_imap_logins_total", "Attempts to log in.", "outcome")


Exchange: TypeAlias = Callable[[Channel], Awaitable[Accepted | Failed]]


async def login(client: Client, command: c.Login) -> Done:
    """LOGIN (§6.2.3)."""
    _demand_privacy(client)
    house = client.house
    if not house.authenticator.takes_passwords(client.channel):
        raise Refusal("Use AUTHENTICATE", b"CANNOT")
    return await _enter(
        client, lambda channel: house.authenticator.log_in(command.user, command.password, channel)
    )


async def authenticate(client: Client, command: c.Authenticate) -> Done:
    """AUTHENTICATE (§6.2.2) with an optional initial response (RFC 4959 §3)."""
    _demand_privacy(client)

    async def ask(challenge: bytes) -> bytes:
        client.wire.write(b"+ " + challenge + b"\r\n")
        return await client.wire.line()

    return await _enter(
        client,
        lambda channel: client.house.authenticator.converse(
            command.mechanism, command.initial, channel, ask
        ),
    )


def _demand_privacy(client: Client) -> None:
    if not client.channel.is_private:
        raise Refusal("Use STARTTLS first", b"PRIVACYREQUIRED")  # RFC 5530 §3


async def _enter(client: Client, converse: Exchange) -> Done:
    house = client.house
    await asyncio.sleep(0)  # from here on in a task: who judges may use libraries that need one
    channel = client.channel
    end = await house.failures.unless_too_many(channel.client, lambda: converse(channel))
    if end is None:
        _logins.labels("blocked").inc()
        raise Farewell("Too many failed logins, try again later")
    if isinstance(end, Failed):
        return await _refuse(client, end)
    identity = end.identity
    _count(client, identity.account_id)
    client.account, client.user = identity.account_id, identity.address
    client.state = State.AUTHENTICATED
    client.wire.trust(on=True)
    _logins.labels("accepted").inc()
    log.info("session logged in", account=client.user)
    return Done("Logged in", b"CAPABILITY " + client.capabilities)


def _count(client: Client, account: int) -> None:
    """Count one session more of the account; raise `Refusal` (RFC 5530 §3) if it is one too many."""
    house = client.house
    guest = Guest(account, house.turnstile.name(client.wire.peer))
    objection = house.guests.objection(
        guest,
        of_account=house.limits.connections_per_account,
        from_client=house.limits.connections_per_account_and_client,
    )
    if objection:
        _logins.labels("too many").inc()
        raise Refusal(objection, b"LIMIT")
    house.guests.enter(guest)
    client.guest = guest


async def _refuse(client: Client, failed: Failed) -> NoReturn:
    """Say why; make guessing slow, and end a connection that fails too often."""
    match failed.reason:
        case "unknown mechanism":
            raise Refusal("Mechanism not known", b"CANNOT")
        case "cancelled" | "malformed":
            raise Misuse(f"AUTHENTICATE {failed.reason}")
        case "not authorized" | "wrong":
            await _repel(client)
    if failed.reason == "wrong":
        raise Refusal("Wrong name or password", b"AUTHENTICATIONFAILED")
    raise Refusal("Not authorized", b"AUTHORIZATIONFAILED")


async def _repel(client: Client) -> None:
    limits = client.house.limits
    client.failures += 1
    number = client.house.failures.add(client.wire.peer)
    _logins.labels("refused").inc()
    log.info("login refused", client=client.wire.peer, failures=number)
    await asyncio.sleep(pause_after(number, limits.login_delay))
    if client.failures >= limits.login_failures:
        raise Farewell("Too many failed logins")


HANDLERS: Final[Handlers] = MappingProxyType({
    c.Login: login,
    c.Authenticate: authenticate,
})  # fmt: skip
