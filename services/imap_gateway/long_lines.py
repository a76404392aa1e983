"""Responses of megabytes: one line goes out in pieces, and others have their turn between."""

from __future__ import annotations

from collections.abc import Iterable

from imap_gateway.client import Client

PIECE_OCTETS = 64 * 1024


async def write_line(client: Client, pieces: Iterable[bytes]) -> None:
    """Write an untagged response; nothing else is said before its end. `ConnectionLost` escapes."""
    wire, ahead = client.wire, b"* "
    client.is_amid_line = True
    try:
        for piece in pieces:
            for start in range(0, len(piece), PIECE_OCTETS):
                wire.write(ahead + piece[start : start + PIECE_OCTETS])
                ahead = b""
                await wire.drain()
    finally:
        wire.write(b"\r\n")
        client.is_amid_line = False
    await wire.drain()
