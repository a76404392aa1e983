"""What FETCH tells of messages beside their octets: ids, dates, first words (RFC 8474, 8514, 8970)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TypeAlias

from imap_gateway.client import Client
from imap_gateway.protocol.items import Item
from imap_gateway.protocol.responses import date_time, string
from imap_gateway.searching.lookups import Lookups
from imap_gateway.view.rows import Rows
from posthouse.mail.errors import MissingObject
from posthouse.mime import unpack_parts
from posthouse.mime.previews import READ_OCTETS, preview
from posthouse.storage.contents import Place
from posthouse.storage.previews import keep_previews, read_previews
from posthouse.storage.searching import DateColumn
from posthouse.storage.snapshots import dates

READS_AT_ONCE = 16
NIL = b"NIL"

Places: TypeAlias = Sequence[int]

_DATES: dict[Item, DateColumn] = {
    Item.INTERNALDATE: "internaldate",
    Item.SAVEDATE: "savedate",
}


async def attributes(client: Client, rows: Rows, places: Places, item: Item) -> Sequence[bytes]:
    """Return the item's value for the messages at ``places``."""
    if item in _DATES:
        return await _dates(client, rows, places, _DATES[item])
    if item in {Item.PREVIEW, Item.LAZY_PREVIEW}:
        return await _previews(client, rows, places, is_lazy=item is Item.LAZY_PREVIEW)
    contents = [rows.contents[place] for place in places]
    if item is Item.EMAILID:
        return await client.house.contents.column(client.owner, "emailid", contents)
    lookups = Lookups(client.house, client.mailbox().position.view, rows)
    await lookups.cover(places)
    return await client.house.contents.column(client.owner, "threadid", contents)


async def _dates(client: Client, rows: Rows, places: Places, column: DateColumn) -> list[bytes]:
    uids = [rows.uids[place] for place in places]
    mailbox = client.mailbox().position.view.mailbox
    found = await dates(client.house.pool, (client.owner, mailbox), column, uids)
    return [date_time(datetime.fromtimestamp(found.get(uid, 0), UTC)) for uid in uids]


async def _previews(client: Client, rows: Rows, places: Places, *, is_lazy: bool) -> list[bytes]:
    """Previews are made where they are missing, unless lazy: then these are NIL (RFC 8970 §4.1)."""
    pool, contents = client.house.pool, [rows.contents[place] for place in places]
    known = await read_previews(pool, client.owner, contents)
    missing = [content for content in dict.fromkeys(contents) if content not in known]
    if missing and not is_lazy:
        made = await _made(client, missing)
        await keep_previews(pool, client.owner, made)
        known |= made
    elif is_lazy:
        return [string(known[c].encode()) if c in known else NIL for c in contents]
    return [string(known.get(content, "").encode()) for content in contents]


async def _made(client: Client, contents: Iterable[int]) -> dict[int, str]:
    """Read messages and return their first words; one whose octets are lost has none, for now."""
    found = await client.house.contents.places(client.owner, list(contents))
    gate = asyncio.Semaphore(READS_AT_ONCE)

    async def one(place: Place) -> str | None:
        start = len(place.prefix)
        async with gate:
            try:
                octets = await client.house.bodies.span(place, start, start + READ_OCTETS)
            except MissingObject:
                return None  # it has been told
            return preview(octets, unpack_parts(place.parts))

    words = await asyncio.gather(*map(one, found.values()))
    return {c: text for c, text in zip(found, words, strict=True) if text is not None}
