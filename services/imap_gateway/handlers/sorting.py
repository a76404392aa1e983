"""SORT (RFC 5256 §3, RFC 5957) with its result options (RFC 5267 §3), and THREAD (RFC 5256 §3)."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from imap_gateway.aside import INLINE_MESSAGES, aside
from imap_gateway.client import Client, Done, Handlers
from imap_gateway.handlers.fetching import tell_items
from imap_gateway.handlers.searching import answer, found_by
from imap_gateway.long_lines import write_line
from imap_gateway.protocol import finding as f
from imap_gateway.searching.apart import threads, threads_apart
from imap_gateway.searching.contexts import check_tag, keep_updating
from imap_gateway.searching.finding import Found
from imap_gateway.searching.lookups import Lookups
from imap_gateway.view.hits import unpacked
from imap_gateway.view.rows import Rows
from posthouse.storage.ordering import sorted_uids, thread_page
from posthouse.storage.pool import Queries


async def sort(client: Client, command: f.Sort) -> Done:
    """SORT and UID SORT."""
    check_tag(client, command.program)
    found = await found_by(client, command.program)
    found = replace(found, matched=await in_order(client, found, command.order))
    await answer(client, command.program, found, found.matched, b"SORT")
    await keep_updating(client, command.program, found, tell_items, command.order)
    return Done("SORT done")


async def in_order(client: Client, found: Found, order: Sequence[f.Criterion]) -> Sequence[int]:
    """Return the places that matched, sorted; what was expunged meanwhile is missing."""
    if not found.matched:
        return ()
    view, house = client.mailbox().position.view, client.house
    await Lookups(house, view, found.rows).cover(found.matched)
    uids = await aside(len(found.matched), found.uids, found.matched)
    named = [(criterion.key.value.decode(), criterion.is_reverse) for criterion in order]
    packed = await sorted_uids(house.pool, (view.account, view.mailbox), named, uids)
    return await aside(len(packed) // 8, _places, packed, found.rows, found.matched)


def _places(packed: bytes, rows: Rows, matched: Sequence[int]) -> array[int]:
    """Return those of ``matched`` whose UIDs are packed, in that order."""
    is_matched, places = bytearray(len(rows)), array("I")
    for place in matched:
        is_matched[place] = 1
    for uid in unpacked(packed):
        place = rows.find(uid)
        if place >= 0 and is_matched[place]:
            places.append(place)
    return places


async def thread(client: Client, command: f.Thread) -> Done:
    """THREAD and UID THREAD; of a large mailbox all is done by another process, page by page."""
    program, house = command.program, client.house
    found = await found_by(client, program)
    view = client.mailbox().position.view
    await Lookups(house, view, found.rows).cover(found.matched)
    text = b""
    if found.matched:
        uids, numbers = await aside(len(found.matched), _named, found, program)
        pages = _pages(house.pool, (view.account, view.mailbox), uids[0] - 1)
        is_by_subject = command.algorithm is f.Algorithm.ORDEREDSUBJECT
        async with house.folding.turn(view.account):
            if len(uids) > INLINE_MESSAGES:
                text = await threads_apart(uids, numbers, pages, is_by_subject=is_by_subject)
            else:
                few = [page async for page in pages]
                text = await asyncio.to_thread(
                    threads, uids, numbers, few, is_by_subject=is_by_subject
                )
    await write_line(client, [b"THREAD", b" " if text else b"", text])
    return Done("THREAD done")


def _named(found: Found, program: f.Program) -> tuple[array[int], array[int]]:
    """Return UIDs and what the client calls these messages."""
    return found.uids(found.matched), found.numbers(found.matched, is_uid=program.is_uid)


async def _pages(pool: Queries, where: tuple[int, int], after: int | None) -> AsyncIterator[bytes]:
    while after is not None:
        page, after = await thread_page(pool, where, after)
        yield page


HANDLERS: Final[Handlers] = MappingProxyType({
    f.Sort: sort,
    f.Thread: thread,
})  # fmt: skip
