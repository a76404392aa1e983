"""FETCH BINARY and BINARY.SIZE: parts without their transfer encoding (RFC 3516 §4).

A part is decoded once, in a thread, into memory or into the spool: its size stands before its octets,
and only all of it tells whether it holds NUL.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

from imap_gateway.client import Client
from imap_gateway.drafts import Content, Draft
from imap_gateway.errors import Refusal
from imap_gateway.protocol.items import Binary, FetchItem
from posthouse.mime import unpack_parts
from posthouse.mime.decoding import DECODERS, AsItIs, Decoder
from posthouse.mime.fields import CONTENT_FIELDS, pick
from posthouse.mime.parameters import parse_token
from posthouse.mime.structure import LEAF, OPAQUE, TEXT
from posthouse.storage.contents import Place

PORTION_OCTETS = 256 * 1024
INLINE_OCTETS = 64 * 1024  # more is decoded in a thread
NIL = b"NIL"

_ENCODED = frozenset({LEAF, TEXT, OPAQUE})  # a multipart or message has no encoding (RFC 2045 §6.4)


async def binary_value(client: Client, place: Place | None, item: Binary) -> bytes:
    """Return what stands behind the item's name, whole; raise `Refusal` for a strange encoding."""
    async with decoded(client, place, item.path) as content:
        return b"".join([piece async for piece in told(content, item)])


async def told(content: Content | None, item: Binary) -> AsyncIterator[bytes]:
    """Yield what stands behind the item's name: a string, or ``literal8`` if NUL is in it (§4.3)."""
    if content is None or item.is_size:
        yield NIL if content is None and not item.is_size else b"%d" % _size(content)
        return
    start, end = _range(content, item)
    if isinstance(content, bytes):
        yield b"%b{%d}\r\n" % (b"~" * (b"\0" in content), end - start) + content[start:end]
        return
    pages = content.pages()
    is_binary = await content.work(pages.find, b"\0") >= 0
    yield b"%b{%d}\r\n" % (b"~" * is_binary, end - start)
    for at in range(start, end, PORTION_OCTETS):
        yield await content.work(pages.__getitem__, slice(at, min(at + PORTION_OCTETS, end)))


def _range(content: Content, item: Binary) -> tuple[int, int]:
    size = _size(content)
    if item.partial is None:
        return 0, size
    first, count = item.partial
    return min(first, size), min(first + count, size)


def _size(content: Content | None) -> int:
    if content is None:
        return 0
    return len(content) if isinstance(content, bytes) else content.size


@asynccontextmanager
async def decoded(
    client: Client, place: Place | None, path: Sequence[int]
) -> AsyncIterator[Content | None]:
    """Lend the octets of a part without their encoding; None if there is none such."""
    span = None if place is None else _span(place, path)
    if place is None or span is None:
        yield None
        return
    house, most = client.house, span[1] - span[0]  # no encoding makes octets fewer
    draft = Draft(house.spool, house.budget, most)
    try:
        decoder = await _decoder(client, place, path)
        for at in range(*span, PORTION_OCTETS):
            octets = await house.bodies.span(place, at, min(at + PORTION_OCTETS, span[1]))
            await draft.add(await _fed(decoder, octets))
        await draft.add(decoder.end())
        yield await draft.done()
    finally:
        draft.close()


async def _fed(decoder: Decoder, octets: bytes) -> bytes:
    if len(octets) <= INLINE_OCTETS:
        return decoder.feed(octets)
    return await asyncio.to_thread(decoder.feed, octets)


def _span(place: Place, path: Sequence[int]) -> tuple[int, int] | None:
    """Return the range of a part; the message's own prefix counts (BINARY[] is all of it)."""
    prefix = len(place.prefix)
    if not path:
        return 0, prefix + place.size
    found = unpack_parts(place.parts).section(path)
    return None if found is None else (prefix + found[0], prefix + found[1])


async def demand_known(client: Client, place: Place | None, items: Iterable[FetchItem]) -> None:
    """Raise `Refusal` if one of ``items`` asks for a part in a strange encoding."""
    if place is not None:
        for item in items:
            if isinstance(item, Binary):
                await _decoder(client, place, item.path)


async def _decoder(client: Client, place: Place, path: Sequence[int]) -> Decoder:
    """Return what undoes the encoding of a part; raise `Refusal` if it is not known (§4.3)."""
    parts = unpack_parts(place.parts)
    part = parts.find(path)
    if not path or part is None or part.kind not in _ENCODED:
        return AsItIs()
    prefix = len(place.prefix)
    header = await client.house.bodies.span(place, prefix + part.start, prefix + part.body)
    field = pick(header, CONTENT_FIELDS).get(b"content-transfer-encoding", [b""])[0]
    decoder = DECODERS.get(parse_token(field))
    if decoder is None:
        raise Refusal("Transfer encoding not known", b"UNKNOWN-CTE")
    return decoder()
