"""FETCH BINARY: parts without their transfer encoding (RFC 3516 §4).

What is asked of a part for the first time decodes all of it, in a thread, into memory or into the
spool: its size stands before its octets, and only all of it tells whether it holds NUL. Of a large
part that is remembered (`imap_gateway.memory.decodings`), and a piece costs what it holds from then on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from imap_gateway.client import Client
from imap_gateway.memory.decodings import Decodings, Facts
from imap_gateway.memory.drafts import Content, Draft
from imap_gateway.protocol.items import Binary, FetchItem
from imap_gateway.reading.sizing import (
    ENCODED,
    PORTION_OCTETS,
    decoder_of,
    fed,
    parts_of,
)
from posthouse.mime.decoding import AsItIs, Base64, Decoder
from posthouse.mime.lines import LineFinder
from posthouse.runtime.spool import SpoolFile
from posthouse.storage.contents import Place

NIL = b"NIL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """A part without its encoding.

    Attributes:
        size: Its octets.
        has_nul: One of them is NUL.
        read: Returns those from the first to before the last; raises as `Bodies.span` does.
    """

    size: int
    has_nul: bool
    read: Callable[[int, int], Awaitable[bytes]]


async def binary_value(client: Client, place: Place | None, item: Binary) -> bytes:
    """Return what stands behind the item's name, whole; raise `Refusal` for a strange encoding."""
    async with decoded(client, place, item) as part:
        return b"".join([piece async for piece in told(part, item)])


async def told(part: Decoded | None, item: Binary) -> AsyncIterator[bytes]:
    """Yield what stands behind the item's name: a string, or ``literal8`` if NUL is in it (§4.3).

    The first piece holds octets of the part already, so that what fails early fails before it.
    """
    if part is None:
        yield NIL
        return
    start, end = _range(part.size, item)
    ahead = b"%b{%d}\r\n" % (b"~" * part.has_nul, end - start)
    for at in range(start, end, PORTION_OCTETS):
        yield ahead + await part.read(at, min(at + PORTION_OCTETS, end))
        ahead = b""
    if ahead:
        yield ahead


def _range(size: int, item: Binary) -> tuple[int, int]:
    if item.partial is None:
        return 0, size
    first, count = item.partial
    return min(first, size), min(first + count, size)


@asynccontextmanager
async def decoded(
    client: Client, place: Place | None, item: Binary
) -> AsyncIterator[Decoded | None]:
    """Lend the octets of the item's part without their encoding; None if there is none such."""
    span = None if place is None else _span(place, item.path)
    if place is None or span is None:
        yield None
        return
    decodings = client.house.decodings
    key = decodings.key(place, item.path)
    facts = decodings.facts(key)
    if facts is not None and _is_ranged(facts):
        yield _ranged(client, place, span[0], facts)
        return
    with decodings.lend(key) as kept:
        if facts is not None and kept is not None:
            yield _held(kept, facts)
            return
        async with _whole(client, place, item, span) as whole:
            yield whole


@asynccontextmanager
async def _whole(
    client: Client, place: Place, item: Binary, span: tuple[int, int]
) -> AsyncIterator[Decoded]:
    """Decode all of a part, and remember what spares that the next time if it is large."""
    house, most = client.house, span[1] - span[0]  # no encoding makes octets fewer
    draft = Draft(house.spool, house.budget, most, client.guest)
    try:
        content, facts = await _decode(client, place, item, span, draft)
        try:
            yield _held(content, facts)
        finally:
            if isinstance(content, SpoolFile):
                key = house.decodings.key(place, item.path)
                house.decodings.know(key, facts)
                is_wanted = item.partial is not None and not _is_ranged(facts)
                if is_wanted and house.decodings.keep(key, content):  # for the next piece
                    draft.hand_over()
    finally:
        draft.close()


async def _decode(
    client: Client, place: Place, item: Binary, span: tuple[int, int], draft: Draft
) -> tuple[Content, Facts]:
    decoder = await _decoder(client, place, item)
    finder, has_nul = LineFinder(), False
    for at in range(*span, PORTION_OCTETS):
        octets = await client.house.bodies.span(place, at, min(at + PORTION_OCTETS, span[1]))
        piece = await fed(decoder, octets, finder)
        has_nul = has_nul or b"\0" in piece
        await draft.add(piece)
    rest = decoder.end()
    await draft.add(rest)
    content = await draft.done()
    return content, Facts(
        size=_size(content),
        has_nul=has_nul or b"\0" in rest,
        lines=finder.found() if isinstance(decoder, Base64) else None,
        decoder=type(decoder),
    )


def _size(content: Content) -> int:
    return len(content) if isinstance(content, bytes) else content.size


def _held(content: Content, facts: Facts) -> Decoded:
    async def read(start: int, end: int) -> bytes:
        if isinstance(content, bytes):
            return content[start:end]
        return await content.work(content.pages().__getitem__, slice(start, end))

    return Decoded(size=facts.size, has_nul=facts.has_nul, read=read)


def _is_ranged(facts: Facts) -> bool:
    """True if a piece can be decoded without what stands before it."""
    return facts.lines is not None or facts.decoder is AsItIs


def _ranged(client: Client, place: Place, origin: int, facts: Facts) -> Decoded:
    async def read(start: int, end: int) -> bytes:
        first, last, skipped = start, end, 0
        if facts.lines is not None:
            first, last, skipped = facts.lines.encoded(start, end)
        octets = await client.house.bodies.span(place, origin + first, origin + last)
        decoder = facts.decoder()
        piece = await fed(decoder, octets, LineFinder()) + decoder.end()
        return piece[skipped : skipped + end - start]

    return Decoded(size=facts.size, has_nul=facts.has_nul, read=read)


def _span(place: Place, path: tuple[int, ...]) -> tuple[int, int] | None:
    """Return the range of a part; the message's own prefix counts (BINARY[] is all of it)."""
    prefix = len(place.prefix)
    if not path:
        return 0, prefix + place.size
    found = parts_of(place.parts).section(path)
    return None if found is None else (prefix + found[0], prefix + found[1])


async def demand_known(client: Client, place: Place | None, items: Iterable[FetchItem]) -> None:
    """Raise `Refusal` if one of ``items`` asks for the octets of a part in a strange encoding."""
    if place is not None:
        for item in items:
            if isinstance(item, Binary) and not item.is_size:
                await _decoder(client, place, item)


async def _decoder(client: Client, place: Place, item: Binary) -> Decoder:
    """Return what undoes the encoding of a part; raise `Refusal` if it is not known (§4.3)."""
    facts = client.house.decodings.facts(Decodings.key(place, item.path))
    if facts is not None:
        return facts.decoder()
    part = parts_of(place.parts).find(item.path)
    if not item.path or part is None or part.kind not in ENCODED:
        return AsItIs()
    prefix = len(place.prefix)
    header = await client.house.bodies.span(place, prefix + part.start, prefix + part.body)
    return decoder_of(header)()
