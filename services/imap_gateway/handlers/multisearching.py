"""ESEARCH: a search of several mailboxes (RFC 7377)."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Final

from imap_gateway import places
from imap_gateway.aside import aside
from imap_gateway.client import Client, Done, Handlers
from imap_gateway.errors import Misuse, Refusal
from imap_gateway.handlers.fetching import tell_items
from imap_gateway.handlers.searching import check_charset, check_option, found_by, save, written
from imap_gateway.long_lines import write_line
from imap_gateway.protocol import finding as f
from imap_gateway.protocol.finding_answers import esearch
from imap_gateway.protocol.sources import Kind, Source
from imap_gateway.searching.contexts import check_tag, keep_updating
from imap_gateway.searching.finding import Found, demand_bounded, find
from posthouse.storage.mailboxes import NoSuchMailbox
from posthouse.storage.subscriptions import lost_subscriptions

_SELECTED = Source(Kind.SELECTED)


async def search_many(client: Client, command: f.MultiSearch) -> Done:
    """ESEARCH: one response for each mailbox in which something matches."""
    program, sources = command.program, set(command.sources) or {_SELECTED}
    returns = program.returns or f.Returns(has_all=True)
    program = replace(program, returns=returns)
    if (_SELECTED in sources or returns.updates) and client.selected is None:
        raise Misuse("No mailbox is selected")
    if returns.saves and sources != {_SELECTED}:
        raise Misuse("SAVE is of the selected mailbox alone")  # RFC 7377 §2.2
    check_option(client, program)
    check_charset(program)
    if _SELECTED in sources or returns.updates:
        await places.demand_now(client, "r")
        check_tag(client, program)
        found = await found_by(client, program)
        await save(client, returns, found, found.matched)
        if _SELECTED in sources:
            view = client.mailbox().position.view
            here = client.shown(client.mailbox().name)
            await _answer(client, program, found, (here, view.uidvalidity))
        await keep_updating(client, program, found, tell_items)
    for name, one in (await _meant(client, sources - {_SELECTED})).items():
        if not _is_selected(client, one) or _SELECTED not in sources:
            await _search(client, program, name, one)
    return Done("ESEARCH done")


def _is_selected(client: Client, found: places.Found) -> bool:
    return client.selected is not None and client.selected.position.view.mailbox == found.mailbox.id


async def _meant(client: Client, sources: set[Source]) -> dict[str, places.Found]:
    """Return the mailboxes that are to be searched and may be, by their names."""
    if not sources:
        return {}
    seen = await places.visible(client)
    names: set[str] = set()
    for source in sources:
        match source.kind:
            case Kind.INBOXES | Kind.PERSONAL:  # where filters file is not known here
                names |= {name for name, one in seen.items() if one.place.owner is None}
            case Kind.SUBSCRIBED:
                names |= await _subscribed(client, seen)
            case _:
                names |= source.below(seen)
    meant = {name: one for name, one in seen.items() if name in names and "r" in one.rights}
    named = {n for s in sources if s.kind is Kind.MAILBOXES for n in s.names} - seen.keys()
    for name in sorted(named):  # what is named need not be listed: no right "l"
        try:
            meant[name] = await places.find(client, name, "r")
        except (NoSuchMailbox, Refusal):
            continue
    return meant


async def _subscribed(client: Client, seen: dict[str, places.Found]) -> set[str]:
    others = set(await lost_subscriptions(client.house.pool, client.account))
    own = {n for n, one in seen.items() if one.place.owner is None and one.mailbox.subscribed}
    return own | others.intersection(seen)


async def _search(client: Client, program: f.Program, name: str, one: places.Found) -> None:
    box, views = one.mailbox, client.house.views
    if not box.exists:
        return
    try:
        position = await views.open(box, client.wire)
    except NoSuchMailbox:
        return
    try:
        demand_bounded(position, program.key)
        found = await find(client, position, program.key)
        await _answer(client, program, found, (client.shown(name), box.uidvalidity))
    finally:
        views.release(position)


async def _answer(
    client: Client, program: f.Program, found: Found, source: tuple[bytes, int]
) -> None:
    if found.matched:
        many = len(found.matched)
        data = await aside(many, written, program, found, found.matched)
        await write_line(client, [esearch(client.tag, data, is_uid=True, source=source)])


HANDLERS: Final[Handlers] = MappingProxyType({
    f.MultiSearch: search_many,
})  # fmt: skip
