"""SORT (RFC 5256 §3, RFC 5957) with its result options (RFC 5267 §3), and THREAD (RFC 5256 §3)."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from imap_gateway.aside import aside
from imap_gateway.client import Client, Done, Handlers
from imap_gateway.contexts import check_tag, keep_updating
from imap_gateway.finding import Found
from imap_gateway.handlers.searching import answer, found_by
from imap_gateway.lookups import Lookups
from imap_gateway.protocol import finding as f
from imap_gateway.protocol.responses import untagged
from imap_gateway.view.threads import Threader, written
from posthouse.storage.ordering import sorted_uids, thread_page, unpack_members


async def sort(client: Client, command: f.Sort) -> Done:
    """SORT and UID SORT."""
    check_tag(client, command.program)
    found = await found_by(client, command.program)
    found = replace(found, matched=await in_order(client, found, command.order))
    await answer(client, command.program, found, found.matched, b"SORT")
    keep_updating(client, command.program, found, command.order)
    return Done("SORT done")


async def in_order(client: Client, found: Found, order: Sequence[f.Criterion]) -> Sequence[int]:
    """Return the places that matched, sorted; what was expunged meanwhile is missing."""
    if not found.matched:
        return ()
    view, house = client.mailbox().position.view, client.house
    await Lookups(house, view, found.rows).cover(found.matched, with_bodies=False)
    uids = await aside(len(found.matched), _uids, found)
    named = [(criterion.key.value.decode(), criterion.is_reverse) for criterion in order]
    packed = await sorted_uids(house.pool, (view.account, view.mailbox), named, uids)
    return await aside(len(packed) // 8, _places, packed, uids, found.matched)


def _uids(found: Found) -> list[int]:
    return [found.rows.uids[place] for place in found.matched]


def _places(packed: bytes, uids: Sequence[int], matched: Sequence[int]) -> list[int]:
    place_of = {uid: place for uid, place in zip(uids, matched, strict=True)}  # noqa: C416 - others get their turn
    ordered = array("q", packed)
    if sys.byteorder == "little":
        ordered.byteswap()
    return [place_of[uid] for uid in ordered if uid in place_of]


async def thread(client: Client, command: f.Thread) -> Done:
    """THREAD and UID THREAD; of a large mailbox all is done in a thread, page by page."""
    program, house = command.program, client.house
    found = await found_by(client, program)
    view = client.mailbox().position.view
    await Lookups(house, view, found.rows).cover(found.matched, with_bodies=False)
    wanted, threader = await aside(len(found.matched), _wanted, found), Threader()
    after: int | None = found.rows.uids[found.matched[0]] - 1 if found.matched else None
    async with house.folding:
        while after is not None:
            packed, after = await thread_page(house.pool, (view.account, view.mailbox), after)
            await aside(len(packed), _take, threader, packed, wanted)
        text = await aside(len(wanted), _text, threader, command, found)
    client.wire.write(untagged(b"THREAD" + (b" " + text if text else b"")))
    await client.wire.drain()
    return Done("THREAD done")


def _wanted(found: Found) -> set[int]:
    return {found.rows.uids[place] for place in found.matched}


def _take(threader: Threader, packed: bytes, wanted: set[int]) -> None:
    threader.add(member for member in unpack_members(packed) if member.uid in wanted)


def _text(threader: Threader, command: f.Thread, found: Found) -> bytes:
    uids = threader.uids
    places = found.rows.places(uids)
    numbers = found.numbers(places, is_uid=command.program.is_uid)
    is_by_subject = command.algorithm is f.Algorithm.ORDEREDSUBJECT
    tree = threader.by_subject() if is_by_subject else threader.by_references()
    return written(tree, numbers)


HANDLERS: Final[Handlers] = MappingProxyType({
    f.Sort: sort,
    f.Thread: thread,
})  # fmt: skip
