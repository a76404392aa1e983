"""BINARY.SIZE of many parts of a message in one pass over it (RFC 3516 §4.3).

Parts lie one behind the other: small ones are read together, large ones portion by portion, and of
what they are decoded to only the length is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from imap_gateway.client import Client
from imap_gateway.errors import Refusal
from imap_gateway.memory.decodings import Decodings, Facts
from posthouse.mime import unpack_parts
from posthouse.mime.decoding import DECODERS, Base64, Decoder
from posthouse.mime.fields import CONTENT_FIELDS, pick
from posthouse.mime.lines import LineFinder
from posthouse.mime.parameters import parse_token
from posthouse.mime.parts import Parts
from posthouse.mime.structure import LEAF, OPAQUE, TEXT
from posthouse.storage.contents import Place

PORTION_OCTETS = 256 * 1024
INLINE_OCTETS = 64 * 1024  # more is decoded in a thread

ENCODED = frozenset({LEAF, TEXT, OPAQUE})  # a multipart or message has no encoding (RFC 2045 §6.4)

Path: TypeAlias = tuple[int, ...]


class Leaf(NamedTuple):
    """A part that may be encoded; offsets count from the prefix."""

    start: int
    body: int
    end: int
    path: Path


@lru_cache(maxsize=8)  # of a message with thousands of parts each may be asked for
def parts_of(packed: bytes) -> Parts:
    """Return the parts of a message, unpacked once."""
    return unpack_parts(packed)


def decoder_of(header: bytes) -> Callable[[], Decoder]:
    """Return what undoes the encoding of a part; raise `Refusal` if it is not known (§4.3)."""
    field = pick(header, CONTENT_FIELDS).get(b"content-transfer-encoding", [b""])[0]
    decoder = DECODERS.get(parse_token(field))
    if decoder is None:
        raise Refusal("Transfer encoding not known", b"UNKNOWN-CTE")
    return decoder


async def decoded_sizes(client: Client, place: Place, paths: Collection[Path]) -> dict[Path, int]:
    """Return the sizes of these parts without their encoding, 0 for what is none."""
    sizes: dict[Path, int] = {}
    leaves: list[Leaf] = []
    parts, prefix = parts_of(place.parts), len(place.prefix)
    for path in paths:
        part = parts.find(path) if path else None
        known = client.house.decodings.facts(Decodings.key(place, path))
        if known is not None:
            sizes[path] = known.size
        elif part is None or part.kind not in ENCODED:
            start, end = parts.section(path) or (0, 0)
            sizes[path] = end - start + (0 if path else prefix)
        else:
            leaves.append(Leaf(prefix + part.start, prefix + part.body, prefix + part.end, path))
    for run in _runs(sorted(leaves)):
        sizes |= await _sizes_of(client, place, run)
    return sizes


def _runs(leaves: Sequence[Leaf]) -> Iterator[list[Leaf]]:
    """Yield what is read together."""
    run: list[Leaf] = []
    for leaf in leaves:
        if run and leaf.end - run[0].start > PORTION_OCTETS:
            yield run
            run = []
        run.append(leaf)
    if run:
        yield run


async def _sizes_of(client: Client, place: Place, run: list[Leaf]) -> dict[Path, int]:
    bodies, first = client.house.bodies, run[0]
    if first.end - first.start > PORTION_OCTETS:  # then it is alone
        header = await bodies.span(place, first.start, first.body)
        facts = await _looked_through(client, place, first, decoder_of(header)())
        client.house.decodings.know(Decodings.key(place, first.path), facts)
        return {first.path: facts.size}
    octets = await bodies.span(place, first.start, run[-1].end)
    if len(octets) <= INLINE_OCTETS:
        return _measured(octets, run)
    return await asyncio.to_thread(_measured, octets, run)


async def _looked_through(client: Client, place: Place, leaf: Leaf, decoder: Decoder) -> Facts:
    finder, has_nul, size = LineFinder(), False, 0
    for at in range(leaf.body, leaf.end, PORTION_OCTETS):
        end = min(at + PORTION_OCTETS, leaf.end)
        piece = await fed(decoder, await client.house.bodies.span(place, at, end), finder)
        has_nul, size = has_nul or b"\0" in piece, size + len(piece)
    rest = decoder.end()
    return Facts(
        size=size + len(rest),
        has_nul=has_nul or b"\0" in rest,
        lines=finder.found() if isinstance(decoder, Base64) else None,
        decoder=type(decoder),
    )


async def fed(decoder: Decoder, octets: bytes, finder: LineFinder) -> bytes:
    """Return what the decoder makes of the next octets, and let the finder see those of base64."""

    def feed() -> bytes:
        if isinstance(decoder, Base64):
            finder.feed(octets)
        return decoder.feed(octets)

    return feed() if len(octets) <= INLINE_OCTETS else await asyncio.to_thread(feed)


def _measured(octets: bytes, run: list[Leaf]) -> dict[Path, int]:
    """Return the sizes of the parts in ``octets``, with which the first of them begins."""
    sizes, origin = {}, run[0].start
    for leaf in run:
        decoder = decoder_of(octets[leaf.start - origin : leaf.body - origin])()
        decoded = decoder.feed(octets[leaf.body - origin : leaf.end - origin])
        sizes[leaf.path] = len(decoded) + len(decoder.end())
    return sizes
