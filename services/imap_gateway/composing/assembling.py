"""The octets of a new message: in memory while they are few, else in a file of the spool.

one literal ─────────────────────────────────────────▶ as it is: held, or put aside as it came
several, with parts of other messages (RFC 4469) ──▶ written one behind the other
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

from imap_gateway.client import Client
from imap_gateway.composing.linking import linked
from imap_gateway.errors import Misuse, Refusal
from imap_gateway.memory.drafts import Content, Draft
from imap_gateway.protocol.appending import Literal, NewMessage
from imap_gateway.protocol.octets import Aside
from posthouse.mime.pages import Octets
from posthouse.mime.transport import transportable

PIECE_OCTETS = 256 * 1024  # read and written at once


def at_hand(message: NewMessage) -> bytes | None:
    """Return the octets of a message that came whole, and is to be stored as it came."""
    source = message.sources[0]
    if len(message.sources) > 1 or not isinstance(source, Literal):
        return None
    octets = source.octets
    return octets if isinstance(octets, bytes) and not _has_nul(octets) else None


@asynccontextmanager
async def assembled(client: Client, message: NewMessage) -> AsyncIterator[Content]:
    """Lend the octets of ``message``; raise `Refusal` or `Misuse` if there can be no such one."""
    content = _as_it_came(client, message)
    house = client.house
    most = house.limits.message_octets
    draft = Draft(house.spool, house.budget, most, client.guest)
    readable = Draft(house.spool, house.budget, 2 * most, client.guest)
    try:
        if content is None:
            async for piece in _pieces(client, message):
                await draft.add(piece)
            content = await draft.done()
        if await _worked(content, _has_nul):
            _demand_binary(message)
            content = await _readable(content, readable)
        yield content
    finally:
        draft.close()
        readable.close()


def _as_it_came(client: Client, message: NewMessage) -> Content | None:
    """Return a message that the client sent whole, None if it must be put together."""
    source = message.sources[0]
    if len(message.sources) > 1 or not isinstance(source, Literal):
        return None
    if not isinstance(source.octets, Aside):
        return source.octets
    file = client.wire.put_aside
    return file if file is not None and file.size == source.octets.size else None


async def _pieces(client: Client, message: NewMessage) -> AsyncIterator[bytes]:
    for source in message.sources:
        if not isinstance(source, Literal):
            async for piece in linked(client, source):
                yield piece
        elif isinstance(source.octets, Aside):
            async for piece in _from_aside(client, source.octets):
                yield piece
        else:
            yield source.octets


async def _from_aside(client: Client, aside: Aside) -> AsyncIterator[bytes]:
    file = client.wire.put_aside
    if file is None:
        raise Misuse("The literal is gone")
    pages, end = file.pages(), aside.start + aside.size
    for at in range(aside.start, end, PIECE_OCTETS):
        yield await file.work(pages.__getitem__, slice(at, min(at + PIECE_OCTETS, end)))


async def _worked(content: Content, work: Callable[[Octets], bool]) -> bool:
    """Return what ``work`` finds, in a thread for a large message."""
    if isinstance(content, bytes):
        return work(content)
    return await content.work(work, content.pages())


def _has_nul(octets: Octets) -> bool:
    return octets.find(b"\0") >= 0


def _demand_binary(message: NewMessage) -> None:
    """NUL comes in as literal8 alone (RFC 3516 §4.4), or with a part that was fetched as it is."""
    literals = [source for source in message.sources if isinstance(source, Literal)]
    if literals and not any(literal.is_binary for literal in literals):
        raise Misuse("NUL in a literal")


async def _readable(content: Content, draft: Draft) -> Content:
    """Return the message with its binary parts in base64: BODY[] can hold no NUL (RFC 3516 §6)."""
    octets = content if isinstance(content, bytes) else content.pages()
    portions = transportable(octets)
    while portion := await asyncio.to_thread(_next, portions):
        await draft.add(portion)
    made = await draft.done()
    if await _worked(made, _has_nul):
        raise Refusal("NUL in a part that is not called binary", b"UNKNOWN-CTE")
    return made


def _next(portions: Iterator[bytes]) -> bytes:
    """Return the next portion that is not empty, nothing at the end."""
    return next(filter(None, portions), b"")
