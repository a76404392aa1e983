"""A message that is larger than a chunk leaves in pieces, each when the client took the last one.

So a session costs a piece and its write buffer, however large the message and slow the client.
"""

from __future__ import annotations

from collections.abc import Sequence

from imap_gateway.errors import ConnectionLost, Refusal
from imap_gateway.protocol.items import Binary, FetchItem
from imap_gateway.reading.binaries import decoded, demand_known, told
from imap_gateway.reading.columns import Chunk, large_span, learn_sizes, reader, template
from imap_gateway.telling import fetch_head
from posthouse.mail.errors import MissingObject, Unavailable
from posthouse.storage.contents import Place
from posthouse.telemetry.logs import get_logger

PIECE_OCTETS = 256 * 1024

log = get_logger()


async def send_in_pieces(chunk: Chunk, number: int, items: Sequence[FetchItem]) -> None:
    """Write the FETCH response of the only message in ``chunk``.

    `MissingObject`, `Unavailable` and `Refusal` escape before the first octet; later there is no way to take
    back the announced size, and the connection ends with `ConnectionLost`.
    """
    client, wire = chunk.client, chunk.client.wire
    found_places = await client.house.contents.places(client.owner, chunk.contents)
    await demand_known(client, next(iter(found_places.values()), None), items)
    await learn_sizes(chunk, found_places)
    ahead = fetch_head(chunk.client, number, chunk.rows.uids[chunk.places[0]])
    is_begun = False
    try:
        for item in items:
            if isinstance(item, Binary) and not item.is_size:
                await _send_decoded(chunk, item, ahead)
                is_begun, ahead = True, b" "
                continue
            found = await large_span(chunk, item, PIECE_OCTETS)
            if found is None:
                [value] = await reader(item)(chunk)
                wire.write(ahead + template((item,)) % value)
            else:
                place, (start, end) = found
                announced = template((item,)) % (b"{%d}\r\n" % (end - start))
                await _send(chunk, place, (start, end), ahead + announced)
            is_begun, ahead = True, b" "
    except (MissingObject, Unavailable, Refusal) as error:
        if not is_begun:
            raise
        log.warning("message cut off", reason=str(error))
        raise ConnectionLost from error
    wire.write(b")\r\n")


async def _send_decoded(chunk: Chunk, item: Binary, ahead: bytes) -> None:
    """Write ``ahead``, then the item; what fails behind the first piece ends the connection."""
    client, ahead = chunk.client, ahead + item.label + b" "
    places = await client.house.contents.places(client.owner, chunk.contents)
    async with decoded(client, next(iter(places.values()), None), item) as part:
        try:
            async for piece in told(part, item):
                client.wire.write(ahead + piece)
                ahead = b""
                await client.wire.drain()
        except (MissingObject, Unavailable) as error:
            if ahead:
                raise
            log.warning("message cut off", reason=str(error))
            raise ConnectionLost from error


async def _send(chunk: Chunk, place: Place, span: tuple[int, int], ahead: bytes) -> None:
    """Write ``ahead`` and the octets; what fails behind the first piece ends the connection."""
    bodies, wire = chunk.client.house.bodies, chunk.client.wire
    start, end = span
    first = await bodies.span(place, start, min(start + PIECE_OCTETS, end))
    wire.write(ahead + first)
    del first
    await wire.drain()
    try:
        for at in range(start + PIECE_OCTETS, end, PIECE_OCTETS):
            stop = min(at + PIECE_OCTETS, end)
            piece = await bodies.span(place, at, stop)
            wire.write(piece)
            del piece
            await wire.drain()
    except (MissingObject, Unavailable) as error:
        log.warning("message cut off", reason=str(error))
        raise ConnectionLost from error
