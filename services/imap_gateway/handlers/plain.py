"""Commands that need no mailbox (RFC 3501 §6.1, RFC 2971, RFC 5161, RFC 2177)."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from imap_gateway.client import Client, Done, Handlers
from imap_gateway.errors import Misuse
from imap_gateway.protocol import commands as c
from imap_gateway.protocol import responses
from imap_gateway.state import State
from posthouse.telemetry.logs import get_logger

MAX_LOGGED_ID = 200  # octets of a client's own words that are worth a log line

log = get_logger()

_SPELLED = {b"IMAP4REV2": b"IMAP4rev2"}


async def capability(client: Client, _command: c.Capability) -> Done:
    """CAPABILITY (§6.1.1)."""
    client.wire.write(responses.untagged(b"CAPABILITY " + client.capabilities))
    return Done("CAPABILITY done")


async def noop(client: Client, _command: c.Noop | c.Check) -> Done:
    """NOOP (§6.1.2) and CHECK (§6.4.1): a moment to be told of news."""
    if client.selected is not None:
        await client.house.views.refresh(client.selected.position.view)
    return Done("done")


async def logout(client: Client, _command: c.Logout) -> Done:
    """LOGOUT (§6.1.3)."""
    client.wire.write(responses.untagged(b"BYE Posthouse says goodbye"))
    client.deselect()
    client.state = State.LOGOUT
    return Done("LOGOUT done")


async def identify(client: Client, command: c.Id) -> Done:
    """ID (RFC 2971 §3.1): nothing but the name is told."""
    told = {name.lower(): value for name, value in command.fields}
    shown = " ".join(filter(None, (told.get("name"), told.get("version"))))[:MAX_LOGGED_ID]
    log.debug("client named itself", software=shown)
    client.wire.write(responses.untagged(b'ID ("name" "Posthouse")'))
    return Done("ID done")


async def enable(client: Client, command: c.Enable) -> Done:
    """ENABLE (RFC 5161 §3.1): unknown names are passed over."""
    enabled = client.enable(*command.capabilities)
    if b"IMAP4REV2" in enabled and client.selected is not None:
        client.selected.position.recent = ()  # RFC 9051 appendix E, 12
    told = [_SPELLED.get(word, word) for word in enabled]
    client.wire.write(responses.untagged(b" ".join([b"ENABLED", *told])))
    return Done("ENABLE done")


async def idle(client: Client, _command: c.Idle) -> Done:
    """IDLE (RFC 2177 §3): the session answers it when DONE comes."""
    if client.selected is not None:
        await client.house.views.refresh(client.selected.position.view)
    client.wire.write(b"+ idling\r\n")
    return Done("")


async def start_tls(client: Client, _command: c.StartTls) -> Done:
    """STARTTLS (§6.2.1): the tagged OK is the last line without TLS, so it is written here."""
    if not client.wire.can_start_tls:
        raise Misuse("STARTTLS is not available")
    return Done("begin TLS now")


HANDLERS: Final[Handlers] = MappingProxyType({
    c.Capability: capability,
    c.Noop: noop,
    c.Check: noop,
    c.Logout: logout,
    c.StartTls: start_tls,
    c.Id: identify,
    c.Enable: enable,
    c.Idle: idle,
})  # fmt: skip
