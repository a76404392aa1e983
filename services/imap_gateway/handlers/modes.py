"""COMPRESS and UNAUTHENTICATE (RFC 4978, RFC 8437): the session does what must follow the tagged OK."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from imap_gateway.client import Client, Done, Handlers
from imap_gateway.errors import Misuse
from imap_gateway.protocol.modes import Compress, Unauthenticate
from posthouse.telemetry.logs import get_logger

log = get_logger()


async def compress(client: Client, command: Compress) -> Done:
    """COMPRESS: what follows its OK is compressed, both ways."""
    if command.algorithm != b"DEFLATE":
        raise Misuse("Algorithm not known")
    if client.wire.is_compressed:
        raise Misuse("Compression is active")
    return Done("DEFLATE active", then=lambda: client.wire.compress(on=True))


async def unauthenticate(client: Client, _command: Unauthenticate) -> Done:
    """UNAUTHENTICATE: all that the session is goes, but TLS stays."""
    log.info("session logged out", account=client.user)
    client.leave()
    client.wire.trust(on=False)
    return Done("Nobody is logged in", then=lambda: client.wire.compress(on=False))


HANDLERS: Final[Handlers] = MappingProxyType(
    {
        Compress: compress,
        Unauthenticate: unauthenticate,
    }
)
