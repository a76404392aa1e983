"""The items of FETCH as columns: what each puts into a line, and its values for many messages."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

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

READS_AT_ONCE = 16  # of one command, from the object store
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
_STRUCTURES = {Item.ENVELOPE, Item.BODYSTRUCTURE, Item.BODY}
_HEADERS = {Text.HEADER, Text.FIELDS, Text.FIELDS_NOT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Some messages of one FETCH: their places in ``rows``; contents that may be next: ``ahead``.

    All that is asked of them stands in ``items``; ``sizes`` are those of decoded parts, by content,
    when they have been looked for.
    """

    client: Client
    rows: Rows
    places: Sequence[int]
    items: Sequence[FetchItem]
    ahead: Sequence[int] = ()
    sizes: dict[int, Mapping[Path, int]] = field(default_factory=dict)

    @property
    def contents(self) -> list[int]:
        """The contents that these messages show."""
        return list(self.of(self.rows.contents))

    def of(self, column: array[int]) -> Sequence[int]:
        """Return a column of the rows for these messages; neighbours are cut out at once."""
        return taken(column, self.places)


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


async def values(chunk: Chunk, item: FetchItem) -> Sequence[object]:
    """Return the item's value for every message of the chunk; of structures maybe only the first."""
    if not isinstance(item, Item):
        read = _sections(chunk, item) if isinstance(item, Section) else _binaries(chunk, item)
        return await read
    column = _column(chunk.rows, item)
    if column is not None:
        return chunk.of(column)
    if item is Item.FLAGS:
        return await flag_texts(chunk.client, chunk.rows, chunk.places, chunk.of(chunk.rows.uids))
    if item in _STRUCTURES:
        return await _structures(chunk, item)
    return await attributes(chunk.client, chunk.rows, chunk.places, item)


def _weight(texts: Sequence[bytes]) -> int:
    """Return how many small messages cost what it takes to read through these octets."""
    return sum(map(len, texts)) // OCTETS_OF_A_MESSAGE


def _column(rows: Rows, item: Item) -> array[int] | None:
    """Return where the view itself has the item."""
    match item:
        case Item.UID:
            return rows.uids
        case Item.SIZE:
            return rows.sizes
        case Item.MODSEQ:
            return rows.modseqs
        case _:
            return None


async def _structures(chunk: Chunk, item: Item) -> Sequence[bytes]:
    contents, account = chunk.client.house.contents, chunk.client.owner
    if item is Item.ENVELOPE:
        return await contents.start(account, "envelope", chunk.contents)
    found = await contents.start(account, "bodystructure", chunk.contents)
    if chunk.client.is_rev2:
        found = await aside(_weight(found), lambda: list(map(with_joined_parameters, found)))
    if item is Item.BODYSTRUCTURE:
        return found
    return await aside(_weight(found), lambda: list(map(without_extensions, found)))


async def _sections(chunk: Chunk, section: Section) -> Sequence[bytes]:
    client, contents = chunk.client, chunk.contents
    if not section.path and section.text in _HEADERS:
        headers = await client.house.contents.column(client.owner, "header", contents)
        return await aside(
            _weight(headers),
            lambda: [literal(_cut(_of_header(header, section), section)) for header in headers],
        )
    places = await client.house.contents.places(client.owner, contents, chunk.ahead)
    gate = asyncio.Semaphore(READS_AT_ONCE)

    async def read(content: int) -> bytes:
        place = places.get(content)
        if place is None:
            return NOTHING  # its account is being removed
        async with gate:
            return await _section(client, place, section)

    if len(contents) == 1:
        return [await read(contents[0])]
    return await asyncio.gather(*map(read, contents))


async def _binaries(chunk: Chunk, item: Binary) -> Sequence[bytes]:
    client, contents = chunk.client, chunk.contents
    places = await client.house.contents.places(client.owner, contents, chunk.ahead)
    if not item.is_size:
        return [await binary_value(client, places.get(content), item) for content in contents]
    await learn_sizes(chunk, places)
    return [b"%d" % chunk.sizes.get(content, {}).get(item.path, 0) for content in contents]


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
