"""STARTTLS: one transport for another under a living protocol (RFC 3501 §6.2.1)."""

from __future__ import annotations

import asyncio
import ssl
from datetime import timedelta

from imap_gateway.errors import ConnectionLost

HANDSHAKE = timedelta(seconds=20)


async def upgraded(
    transport: asyncio.Transport, protocol: asyncio.Protocol, context: ssl.SSLContext
) -> asyncio.Transport:
    """Shake hands and return the transport that is under TLS; raise `ConnectionLost`."""
    try:
        found = await asyncio.get_running_loop().start_tls(
            transport,
            protocol,
            context,
            server_side=True,
            ssl_handshake_timeout=HANDSHAKE.total_seconds(),
        )
    except (OSError, ssl.SSLError) as error:
        raise ConnectionLost from error
    if found is None:
        raise ConnectionLost
    return found
