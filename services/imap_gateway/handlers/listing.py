"""LIST and LSUB (RFC 3501 §6.3.8, §6.3.9; RFC 5258), and what LIST tells besides.

Answers leave a hundred names at a time, each with what was asked of it behind it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from imap_gateway import places
from imap_gateway.aside import aside
from imap_gateway.client import Client, Done, Handlers
from imap_gateway.handlers.annotating import ANY_OF, metadata_lines
from imap_gateway.handlers.statuses import status_line, status_values
from imap_gateway.places import Found
from imap_gateway.protocol import responses
from imap_gateway.protocol.listing import List, Selecting, StatusItem
from imap_gateway.view.listing import (
    Choice,
    Folder,
    Pattern,
    Shown,
    attributes,
    listing,
    subscribed,
)
from posthouse.mail.rights import shown_rights
from posthouse.storage.counting import has_children
from posthouse.storage.mailboxes import Mailbox
from posthouse.storage.subscriptions import lost_subscriptions

NAMES_AT_ONCE = 100

_EVERYTHING = Choice(patterns=[Pattern("", "*")], is_extended=True, tells_subscribed=True)


async def list_(client: Client, command: List) -> Done:
    """LIST and LSUB."""
    if command.patterns == ("",) and not (command.is_lsub or command.is_extended):  # the separator?
        client.wire.write(responses.listed(b"LIST", ["\\Noselect"], b'""'))
        return Done("LIST done")
    if not command.patterns:
        return Done("Nothing can have such a name")
    seen = await places.visible(client)
    lost = set(await lost_subscriptions(client.house.pool, client.account))
    folders = await aside(len(seen) * 10, _folders, client, seen, lost)
    if command.is_lsub:
        return await _lsub(client, command, folders)
    choice = _choice(command)
    shown = await aside(len(folders) * 20 * len(choice.patterns), listing, folders, choice)
    for start in range(0, len(shown), NAMES_AT_ONCE):
        await _tell(client, command, shown[start : start + NAMES_AT_ONCE], seen)
    return Done("LIST done")


async def list_one(client: Client, box: Mailbox, name: str, given: str) -> None:
    """Write the LIST response of SELECT, with the name that was ``given`` (RFC 9051 §6.3.2)."""
    if box.account == client.account:
        folder = Folder(exists=True, is_subscribed=box.subscribed, uses=box.uses)
        is_above = await has_children(client.house.pool, box)
        flags = attributes(_EVERYTHING, folder, has_children=is_above)
    else:  # what lies below counts if it may be seen
        flags = (await all_attributes(client, await places.visible(client))).get(name, ())
    more = responses.oldname(client.shown(given)) if given != name else b""
    client.wire.write(responses.listed(b"LIST", flags, client.shown(name), more=more))


async def all_attributes(client: Client, seen: Mapping[str, Found]) -> dict[str, tuple[str, ...]]:
    """Return what LIST would tell of all names."""
    lost = set(await lost_subscriptions(client.house.pool, client.account))
    folders = _folders(client, seen, lost)
    shown = await aside(len(folders) * 20, listing, folders, _EVERYTHING)
    return {one.name: tuple(one.attributes) for one in shown}


async def _lsub(client: Client, command: List, folders: Mapping[str, Folder]) -> Done:
    [written] = command.patterns
    names = {name for name, folder in folders.items() if folder.is_subscribed}
    pattern = Pattern(command.reference, written)
    found = await aside(
        len(names) * 20, subscribed, names, pattern, is_level_wise=written.endswith("%")
    )
    for start in range(0, len(found), NAMES_AT_ONCE):
        part = found[start : start + NAMES_AT_ONCE]
        lines = [responses.listed(b"LSUB", flags, client.shown(name)) for name, flags in part]
        client.wire.write(b"".join(lines))
        await client.wire.drain()
        await asyncio.sleep(0)  # others get their turn
    return Done("LSUB done")


def _folders(client: Client, seen: Mapping[str, Found], lost: set[str]) -> dict[str, Folder]:
    folders = {name: Folder(exists=False, is_subscribed=True) for name in lost}
    for name, one in seen.items():
        is_own = one.mailbox.account == client.account
        folders[name] = Folder(
            exists=True,
            is_selectable="r" in one.rights,
            is_subscribed=one.mailbox.subscribed if is_own else name in lost,
            uses=one.mailbox.uses if is_own else (),
        )
    return folders


def _choice(command: List) -> Choice:
    patterns = [
        Pattern(command.reference, written)
        for written in command.patterns
        if written or not command.is_extended  # RFC 5258 §3: the empty one matches nothing
    ]
    return Choice(
        patterns=patterns,
        is_extended=command.is_extended,
        subscribed=Selecting.SUBSCRIBED in command.selecting,
        special_use=Selecting.SPECIAL_USE in command.selecting,
        recursive=Selecting.RECURSIVEMATCH in command.selecting,
        tells_subscribed=command.returning.subscribed,
        tells_children=command.returning.children,
    )


async def _tell(
    client: Client, command: List, shown: Sequence[Shown], seen: Mapping[str, Found]
) -> None:
    """Write LIST responses, each followed by what was asked of the mailbox besides."""
    wish = command.returning
    matched = {one.name: seen[one.name] for one in shown if one.is_match}
    statuses = await _statuses(client, wish.status, matched)
    metadata: Mapping[str, bytes] = {}
    if wish.metadata is not None:
        boxes = {
            name: one.mailbox for name, one in matched.items() if not one.rights.isdisjoint(ANY_OF)
        }
        metadata = await metadata_lines(client, boxes, wish.metadata)
    for one in shown:
        line = responses.listed(b"LIST", one.attributes, client.shown(one.name), one.criteria)
        found = matched.get(one.name)
        if found is not None and wish.myrights:
            line += rights_line(client.shown(one.name), found.rights)
        line += statuses.get(one.name, b"") + metadata.get(one.name, b"")
        client.wire.write(line)
    await client.wire.drain()
    await asyncio.sleep(0)  # others get their turn


async def _statuses(
    client: Client, items: Sequence[StatusItem], matched: Mapping[str, Found]
) -> dict[str, bytes]:
    """Return the STATUS responses of those that may be read (RFC 5819 §2)."""
    if not items:
        return {}
    names = [name for name, one in matched.items() if "r" in one.rights]
    values = await status_values(client, [matched[name].mailbox for name in names], items)
    return {
        name: status_line(client.shown(name), one) for name, one in zip(names, values, strict=True)
    }


def rights_line(name: bytes, rights: frozenset[str]) -> bytes:
    """Return the MYRIGHTS response (RFC 4314 §3.8)."""
    told = shown_rights(rights).encode()
    return responses.untagged(b"MYRIGHTS %b %b" % (name, told))


HANDLERS: Final[Handlers] = MappingProxyType({
    List: list_,
})  # fmt: skip
