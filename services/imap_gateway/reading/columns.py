"""The items of FETCH as columns: what each puts into a line, and its values for many messages."""

from __future__ import annotations

from array import array
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Final, TypeAlias

from imap_gateway.aside import aside
from imap_gateway.client import Client
from imap_gateway.protocol.items import Binary, FetchItem, Item, Section, Text
from imap_gateway.protocol.responses import literal
from imap_gateway.reading.attributes import attributes
from imap_gateway.reading.binaries import binary_value
from imap_gateway.reading.sizing import Path, decoded_sizes, parts_of
from imap_gateway.telling import flag_texts
from imap_gateway.view.rows import Rows, taken
from imap_gateway.view.sections import pick_fields, without_extensions
from imap_gateway.view.structures import with_joined_parameters
from posthouse.storage.contents import Place

AHEAD_OCTETS = 256 * 1024  # of messages that are read before they are asked for
OCTETS_OF_A_MESSAGE = 16  # that are looked at in the time a row takes
NOTHING = b"NIL"

_TEMPLATES = {
    Item.FLAGS: b"FLAGS (%b)",
    Item.UID: b"UID %d",
    Item.INTERNALDATE: b"INTERNALDATE %b",
    Item.SIZE: b"RFC822.SIZE %d",
    Item.ENVELOPE: b"ENVELOPE %b",
    Item.BODYSTRUCTURE: b"BODYSTRUCTURE %b",
    Item.BODY: b"BODY %b",
    Item.MODSEQ: b"MODSEQ (%d)",
    Item.EMAILID: b"EMAILID (%b)",
    Item.THREADID: b"THREADID (%b)",
    Item.SAVEDATE: b"SAVEDATE %b",
    Item.PREVIEW: b"PREVIEW %b",
    Item.LAZY_PREVIEW: b"PREVIEW %b",
}
_HEADERS = {Text.HEADER, Text.FIELDS, Text.FIELDS_NOT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Some messages of one FETCH: their places in ``rows``, and of those that may be ``next``.

    All that is asked of them stands in ``items``; ``sizes`` are those of decoded parts, by content,
    when they have been looked for.
    """

    client: Client
    rows: Rows
    places: Sequence[int]
    items: Sequence[FetchItem]
    next: range = range(0)
    sizes: dict[int, Mapping[Path, int]] = field(default_factory=dict)

    @property
    def contents(self) -> list[int]:
        """The contents that these messages show."""
        return list(self.of(self.rows.contents))

    def ahead(self) -> Iterator[int]:
        """Yield the contents that may be asked for next, as long as they are small together."""
        left = AHEAD_OCTETS
        for place in self.next:
            left -= self.rows.sizes[place]
            if left < 0:
                return
            yield self.rows.contents[place]

    def of(self, column: array[int]) -> Sequence[int]:
        """Return a column of the rows for these messages; neighbours are cut out at once."""
        return taken(column, self.places)


# Returns one value for each message of the chunk, or for the first of them where they are large.
Reader: TypeAlias = Callable[[Chunk], Awaitable[Sequence[object]]]


def template(items: Iterable[FetchItem]) -> bytes:
    """Return what stands between the parentheses, with a ``%`` for each item."""
    return b" ".join(_TEMPLATES[i] if isinstance(i, Item) else _template(i) for i in items)


def _template(section: Section | Binary) -> bytes:
    if isinstance(section, Binary):
        return section.label + b" %b"
    label = section.label.replace(b"%", b"%%")
    return label + b"<%d> %%b" % section.partial[0] if section.partial else label + b" %b"


def needs_seen(item: FetchItem) -> bool:
    r"""True if fetching the item sets ``\Seen``."""
    return not isinstance(item, Item) and not item.is_peek


def reader(item: FetchItem) -> Reader:
    """Return what reads the item's value for every message of a chunk; see `Reader`."""
    if isinstance(item, Section):
        is_header = not item.path and item.text in _HEADERS
        return partial(_headers if is_header else _sections, section=item)
    if isinstance(item, Binary):
        return partial(_binaries, item=item)
    return _READERS.get(item) or partial(_attributes, item=item)


def _weight(texts: Sequence[bytes]) -> int:
    """Return how many small messages cost what it takes to read through these octets."""
    return sum(map(len, texts)) // OCTETS_OF_A_MESSAGE


async def _uids(chunk: Chunk) -> Sequence[int]:
    return chunk.of(chunk.rows.uids)


async def _sizes(chunk: Chunk) -> Sequence[int]:
    return chunk.of(chunk.rows.sizes)


async def _modseqs(chunk: Chunk) -> Sequence[int]:
    return chunk.of(chunk.rows.modseqs)


async def _envelopes(chunk: Chunk) -> Sequence[bytes]:
    client = chunk.client
    return await client.house.contents.start(client.owner, "envelope", chunk.contents)


async def _structures(chunk: Chunk) -> Sequence[bytes]:
    client = chunk.client
    found = await client.house.contents.start(client.owner, "bodystructure", chunk.contents)
    if not client.is_rev2:
        return found
    return await aside(_weight(found), lambda: list(map(with_joined_parameters, found)))


async def _bodies(chunk: Chunk) -> Sequence[bytes]:
    found = await _structures(chunk)
    return await aside(_weight(found), lambda: list(map(without_extensions, found)))


async def _flags(chunk: Chunk) -> Sequence[bytes]:
    return await flag_texts(chunk.client, chunk.rows, chunk.places, chunk.of(chunk.rows.uids))


async def _attributes(chunk: Chunk, item: Item) -> Sequence[bytes]:
    return await attributes(chunk.client, chunk.rows, chunk.places, item)


_READERS: Final[Mapping[Item, Reader]] = MappingProxyType({
    Item.UID: _uids,
    Item.SIZE: _sizes,
    Item.MODSEQ: _modseqs,
    Item.FLAGS: _flags,
    Item.ENVELOPE: _envelopes,
    Item.BODYSTRUCTURE: _structures,
    Item.BODY: _bodies,
})  # fmt: skip


async def _headers(chunk: Chunk, section: Section) -> Sequence[bytes]:
    contents, owner = chunk.client.house.contents, chunk.client.owner
    headers = await contents.column(owner, "header", chunk.contents, chunk.ahead)
    return await aside(
        _weight(headers),
        lambda: [literal(_cut(_of_header(header, section), section)) for header in headers],
    )


async def _sections(chunk: Chunk, section: Section) -> Sequence[bytes]:
    client, house = chunk.client, chunk.client.house
    found = await _located(chunk)
    here = [place for place in found if place is not None]
    if not house.bodies.has(here):
        await house.bodies.load(here, lambda: house.contents.known_places(chunk.ahead()))
    return [NOTHING if place is None else await _section(client, place, section) for place in found]


async def _binaries(chunk: Chunk, item: Binary) -> Sequence[bytes]:
    found = await _located(chunk)
    if not item.is_size:
        return [await binary_value(chunk.client, place, item) for place in found]
    places = zip(chunk.contents, found, strict=True)
    await learn_sizes(chunk, {content: place for content, place in places if place is not None})
    return [b"%d" % chunk.sizes.get(content, {}).get(item.path, 0) for content in chunk.contents]


async def _located(chunk: Chunk) -> list[Place | None]:
    """Return where the octets of the messages are; None where an account is being removed."""
    client, contents = chunk.client, chunk.contents
    known = client.house.contents.known_places(contents)
    if len(known) == len(contents):
        return [*known]
    places = await client.house.contents.places(client.owner, contents, chunk.ahead)
    return [places.get(content) for content in contents]


async def learn_sizes(chunk: Chunk, places: Mapping[int, Place]) -> None:
    """See to it that the chunk has the sizes of all decoded parts that are asked for.

    Raises `Refusal` for a strange encoding.
    """
    paths = {one.path for one in chunk.items if isinstance(one, Binary) and one.is_size}
    if paths and not chunk.sizes:
        for content, place in places.items():
            chunk.sizes[content] = await decoded_sizes(chunk.client, place, paths)


async def _section(client: Client, place: Place, section: Section) -> bytes:
    """Return one section of one message: a literal, or NIL if it has none such."""
    octets = await section_octets(client, place, section)
    return NOTHING if octets is None else literal(octets)


async def section_octets(client: Client, place: Place, section: Section) -> bytes | None:
    """Return the octets of a section of one message; None if it has none such."""
    span = find_section(place, section)
    if span is None:
        return None
    if section.text in {Text.FIELDS, Text.FIELDS_NOT}:
        header = await client.house.bodies.span(place, *span)
        return _cut(_of_header(header, section), section)
    return await client.house.bodies.span(place, *part_of(span, section))


def part_of(span: tuple[int, int], section: Section) -> tuple[int, int]:
    """Return what is left of a range when only a part of the section was asked for."""
    if section.partial is None:
        return span
    start, end = span
    first, count = section.partial
    start = min(start + first, end)
    return start, min(start + count, end)


async def large_span(
    chunk: Chunk, item: FetchItem, least: int
) -> tuple[Place, tuple[int, int]] | None:
    """Return where the item's octets are if they are more than ``least``; for a chunk of one."""
    if not isinstance(item, Section) or item.text in {Text.FIELDS, Text.FIELDS_NOT}:
        return None
    places = await chunk.client.house.contents.places(chunk.client.owner, chunk.contents)
    place = next(iter(places.values()), None)
    span = find_section(place, item) if place is not None else None
    if place is None or span is None:
        return None
    start, end = part_of(span, item)
    return (place, (start, end)) if end - start > least else None


def find_section(place: Place, section: Section) -> tuple[int, int] | None:
    """Return the range of a section, counted with the prefix; None if there is none such."""
    prefix = len(place.prefix)
    if not section.path:
        if section.text is Text.ALL:
            return 0, prefix + place.size
        split = prefix + place.header_size
        return (split, prefix + place.size) if section.text is Text.TEXT else (0, split)
    what = "HEADER" if section.text in _HEADERS else section.text.value.decode()
    found = parts_of(place.parts).section(section.path, what)
    return None if found is None else (prefix + found[0], prefix + found[1])


def _of_header(header: bytes, section: Section) -> bytes:
    if section.text is Text.HEADER:
        return header
    return pick_fields(header, section.fields, is_not=section.text is Text.FIELDS_NOT)


def _cut(octets: bytes, section: Section) -> bytes:
    if section.partial is None:
        return octets
    first, count = section.partial
    return octets[first : first + count]
