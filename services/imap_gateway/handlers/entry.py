"""Logging in (RFC 3501 §6.2, RFC 4959)."""

from __future__ import annotations

import asyncio

from imap_gateway.client import Client, Done
from imap_gateway.errors import Farewell, Misuse, Refusal
from imap_gateway.protocol import commands as c
from imap_gateway.state import State
from imap_gateway.view.flags import Keywords
from posthouse.credentials import sasl
from posthouse.storage.messages import keyword_names
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

log = get_logger()
_logins = counter("posthouse_imap_logins_total", "Attempts to log in.", "outcome")


async def login(client: Client, command: c.Login) -> Done:
    """LOGIN (§6.2.3)."""
    _demand_privacy(client)
    return await _enter(client, command.user, command.password)


async def authenticate(client: Client, command: c.Authenticate) -> Done:
    """AUTHENTICATE (§6.2.2) with an optional initial response (RFC 4959 §3)."""
    _demand_privacy(client)
    step = sasl.start(command.mechanism, command.initial)
    while isinstance(step, sasl.Challenge):
        client.wire.write(b"+ " + step.wire + b"\r\n")
        step = sasl.answer(step, await client.wire.line())
    if isinstance(step, sasl.Attempt):
        return await _enter(client, step.user, step.password)
    match step.reason:
        case "unknown mechanism":
            raise Refusal("Mechanism not known", b"CANNOT")
        case "cancelled" | "malformed":
            raise Misuse(f"AUTHENTICATE {step.reason}")
        case "not authorized":
            raise Refusal("Not authorized", b"AUTHORIZATIONFAILED")


def _demand_privacy(client: Client) -> None:
    if not client.wire.is_secured and not client.house.is_plaintext_allowed:
        raise Refusal("Use STARTTLS first", b"PRIVACYREQUIRED")  # RFC 5530 §3


async def _enter(client: Client, user: str, password: str) -> Done:
    house = client.house
    if house.failures.are_too_many(client.wire.peer):
        _logins.labels("blocked").inc()
        raise Farewell("Too many failed logins, try again later")
    credential = await house.verify(user, password)
    if credential is None:
        await _refuse(client, user)
        raise Refusal("Wrong name or password", b"AUTHENTICATIONFAILED")
    keywords = Keywords(await keyword_names(house.pool, credential.account_id))
    sessions = house.logged_in.get(credential.account_id, 0)  # no waiting until it is counted
    if sessions >= house.limits.connections_per_account:
        _logins.labels("too many").inc()
        raise Refusal("Too many connections of this account", b"LIMIT")
    client.keywords = keywords
    house.logged_in[credential.account_id] = sessions + 1
    client.account, client.user = credential.account_id, credential.address
    client.state = State.AUTHENTICATED
    client.wire.trust()
    _logins.labels("accepted").inc()
    log.info("session logged in", account=client.user)
    return Done("Logged in", b"CAPABILITY " + client.capabilities)


async def _refuse(client: Client, user: str) -> None:
    """Make guessing slow; too many failures end the connection."""
    limits = client.house.limits
    client.failures += 1
    client.house.failures.add(client.wire.peer)
    _logins.labels("refused").inc()
    log.info("login refused", user=user[:256], failures=client.failures)
    await asyncio.sleep(limits.login_delay.total_seconds() * 2 ** (client.failures - 1))
    if client.failures >= limits.login_failures:
        raise Farewell("Too many failed logins")
