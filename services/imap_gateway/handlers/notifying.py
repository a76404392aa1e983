"""NOTIFY (RFC 5465): what happens is told at once, in all mailboxes that are of interest.

What the session itself has changed is left out, see `imap_gateway.own_changes`; where another was
at work in the same moment both are told.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from imap_gateway import places
from imap_gateway.client import Client, Done, Handlers
from imap_gateway.errors import Refusal
from imap_gateway.handlers.fetching import tell_items
from imap_gateway.handlers.listing import all_attributes
from imap_gateway.handlers.statuses import flag_counts, status_line
from imap_gateway.noticing import Entries, Noticing
from imap_gateway.own_changes import digest_of, state_of
from imap_gateway.places import Found
from imap_gateway.protocol import responses
from imap_gateway.protocol.listing import StatusItem
from imap_gateway.protocol.notify_grammar import MESSAGE_EVENTS, Event, Notify
from imap_gateway.view.listing import NON_EXISTENT
from imap_gateway.view.notices import State, events_of, happened, name_changes
from imap_gateway.view.position import News
from posthouse.storage.annotations import SERVER, only_annotated, read_annotations

MAX_MAILBOXES = 2000  # whose events may be of interest to one session
MAX_LINES = 1000  # told at once
_FLAGS = frozenset({Event.FLAGS})
_SUPPORTED = b"BADEVENT (" + b" ".join(event.value for event in Event) + b")"


async def notify(client: Client, command: Notify) -> Done:
    """NOTIFY SET and NOTIFY NONE (§3.1)."""
    if any(group.has_unknown for group in command.groups):
        raise Refusal("Not an event that can be told", _SUPPORTED)
    made = Noticing(waker=client.wire, groups=command.groups)
    if made.looks_elsewhere:
        seen = await _look(client, made)
        if _watched(made) > MAX_MAILBOXES:
            raise Refusal("Too many mailboxes", b"NOTIFICATIONOVERFLOW")
        _tell_no_access(client, made, seen)
        if command.asks_status:
            wanted = dict.fromkeys(made.known, MESSAGE_EVENTS)
            client.wire.write(b"".join(await _status_lines(client, made, wanted, is_first=True)))
    client.notice(made)
    made.heard()  # what happened between the look and now is told at once
    if client.selected is not None:
        await client.house.views.refresh(client.selected.position.view)
    return Done("NOTIFY done")


def _watched(noticing: Noticing) -> int:
    """Return how many mailboxes are of interest."""
    known = noticing.known.items()
    return sum(bool(events_of(noticing.groups, name, state)) for name, state in known)


async def tell_elsewhere(client: Client, noticing: Noticing) -> None:
    """Write what happened to other mailboxes since the last look; `Unavailable` escapes."""
    if not noticing.is_stale or not noticing.looks_elsewhere or noticing.must_rest():
        return
    noticing.is_stale, began = False, asyncio.get_running_loop().time()
    before, entries = noticing.known, noticing.entries
    try:
        seen = await _look(client, noticing)
        client.house.updates.listen(noticing, noticing.accounts)
        noticing.looked(began)
        lines = await _name_lines(client, noticing, before, seen)
        lines += _metadata_lines(client, noticing, entries)
        changed = await _changed(client, noticing, before)
        is_too_much = len(lines) + sum(map(bool, changed.values())) > MAX_LINES
        lines += [] if is_too_much else await _status_lines(client, noticing, changed)
    except BaseException:  # nothing was told: the next look finds it all
        noticing.known, noticing.entries, noticing.is_stale = before, entries, True
        raise
    if is_too_much:
        client.wire.write(responses.untagged(b"OK [NOTIFICATIONOVERFLOW] Too much has happened"))
        client.notice(Noticing(waker=client.wire, groups=()))
        return
    client.wire.write(b"".join(lines))
    await client.wire.drain()


async def _changed(
    client: Client, noticing: Noticing, before: Mapping[str, State]
) -> dict[str, frozenset[Event]]:
    """Return what happened to the messages of each mailbox that was there: annotations are none."""
    changed = {
        name: happened(before[name], state)
        for name, state in noticing.known.items()
        if name in before
    }
    steps = {
        state.key: (before[name].modseq, state.modseq)
        for name, state in noticing.known.items()
        if changed.get(name) == _FLAGS and _FLAGS & events_of(noticing.groups, name, state)
    }
    annotated = await only_annotated(client.house.pool, steps) if steps else ()
    for name in changed:
        if noticing.known[name].key in annotated:
            changed[name] = frozenset()
    return changed


async def tell_new(client: Client, noticing: Noticing, news: News) -> None:
    """Write what FETCH is to tell of messages that came into the selected mailbox (§5.2)."""
    group, position, own = noticing.selected, client.mailbox().position, noticing.take_own()
    if news.exists is None or group is None or not group.items:
        return
    first = bisect_left(position.uids, news.new_uids[0])
    new: Sequence[int] = range(first, news.exists)
    if own:
        new = [at for at in new if not any(position.uid(at) in uids for uids in own)]
    await tell_items(client, group.items, new)


async def _look(client: Client, noticing: Noticing) -> Mapping[str, Found]:
    """Note how all mailboxes are now."""
    seen = await places.visible(client)
    attributes = await all_attributes(client, seen)
    noticing.known = {
        name: state_of(client, one, is_subscribed="\\Subscribed" in attributes.get(name, ()))
        for name, one in seen.items()
    }
    noticing.accounts = {one.mailbox.account for one in seen.values()} | {client.account}
    if noticing.wants_metadata:
        noticing.entries = await _entries(client, noticing)
    return seen


async def _entries(client: Client, noticing: Noticing) -> Entries:
    numbers: defaultdict[int, list[int]] = defaultdict(list, {client.account: [SERVER]})
    for state in filter(lambda one: one.tells_metadata, noticing.known.values()):
        numbers[state.key[0]].append(state.key[1])
    found: defaultdict[tuple[int, int], dict[str, bytes]] = defaultdict(dict)
    for account, boxes in numbers.items():
        for one in await read_annotations(
            client.house.pool, account, boxes, client.account, ("/shared", "/private")
        ):
            found[account, one.mailbox][one.entry] = digest_of(one.value)
    return found


def _tell_no_access(client: Client, noticing: Noticing, seen: Mapping[str, Found]) -> None:
    """What is asked for and may be seen, but not read (§3.1)."""
    for name in sorted(seen):
        state = noticing.known[name]
        if not state.is_readable and events_of(noticing.groups, name, state):
            line = responses.listed(b"LIST", ["\\NoAccess"], client.shown(name))
            client.wire.write(line)


async def _name_lines(
    client: Client,
    noticing: Noticing,
    before: Mapping[str, State],
    seen: Mapping[str, Found],
) -> list[bytes]:
    """Return LIST responses of names and subscriptions that changed (§5.4, §5.5)."""
    now = noticing.known
    told: dict[str, str] = {}
    for change in name_changes(before, now):
        states = [(change.name, now.get(change.name)), (change.name, before.get(change.name)),
                  (change.old, before.get(change.old)), *_below(change.name, before, now)]  # fmt: skip
        if any(s and Event.NAME in events_of(noticing.groups, n, s) for n, s in states):
            told[change.name] = change.old
    for name in now.keys() & before.keys() - told.keys():
        new, old = now[name], before[name]
        if new.is_subscribed != old.is_subscribed and any(
            Event.SUBSCRIPTION in events_of(noticing.groups, name, state) for state in (new, old)
        ):
            told[name] = ""
    if not told:
        return []
    attributes = await all_attributes(client, seen)
    return [
        responses.listed(
            b"LIST",
            attributes.get(name, (NON_EXISTENT,)),
            client.shown(name),
            more=responses.oldname(client.shown(old)) if old else b"",
        )
        for name, old in sorted(told.items())
    ]


def _below(
    name: str, before: Mapping[str, State], now: Mapping[str, State]
) -> list[tuple[str, State | None]]:
    """Return what came or went right below a level that is no mailbox itself."""
    if name in before or name in now:
        return []
    there = [*before.items(), *now.items()]
    return [(below, state) for below, state in there if below.rpartition("/")[0] == name]


def _metadata_lines(client: Client, noticing: Noticing, before: Entries) -> list[bytes]:
    """Return METADATA responses with the names of entries that changed (§5.6, §5.7)."""
    if not noticing.wants_metadata:
        return []
    lines = []
    for name, state in noticing.known.items():
        if Event.MAILBOX_METADATA in events_of(noticing.groups, name, state):
            lines += _changed_entries(client.shown(name), before, noticing.entries, state.key)
    if any(Event.SERVER_METADATA in group.events for group in noticing.groups):
        key = client.account, SERVER
        lines += _changed_entries(b'""', before, noticing.entries, key)
    return lines


def _changed_entries(
    shown: bytes, before: Entries, now: Entries, key: tuple[int, int]
) -> list[bytes]:
    old, new = before.get(key, {}), now.get(key, {})
    entries = sorted(one for one in old.keys() | new.keys() if old.get(one) != new.get(one))
    if not entries:
        return []
    return [responses.untagged(b"METADATA %b %b" % (shown, " ".join(entries).encode()))]


async def _status_lines(
    client: Client,
    noticing: Noticing,
    changed: Mapping[str, frozenset[Event]],
    *,
    is_first: bool = False,
) -> list[bytes]:
    """Return STATUS responses of mailboxes with events of interest; not of the selected one (§6)."""
    view = client.selected.position.view if client.selected is not None else None
    own = (view.account, view.mailbox) if view is not None else None
    lines = []
    for name, events in changed.items():
        state = noticing.known[name]
        told = events & events_of(noticing.groups, name, state)
        if told and state.is_readable and state.key != own:
            values = await _values(client, state, told, is_first=is_first)
            lines.append(status_line(client.shown(name), values))
    return lines


async def _values(
    client: Client, state: State, events: frozenset[Event], *, is_first: bool
) -> Mapping[StatusItem, bytes]:
    """Return what STATUS is to tell (§5.1 to §5.3), and where events begin to be told (§3.1)."""
    items: dict[StatusItem, int] = {}
    if events & {Event.NEW, Event.EXPUNGE}:
        items |= {StatusItem.UIDNEXT: state.uidnext, StatusItem.MESSAGES: state.exists}
    if client.is_condstore or (is_first and Event.FLAGS in events):
        items[StatusItem.HIGHESTMODSEQ] = state.modseq
    elif Event.FLAGS in events:
        account, mailbox = state.key
        counts = await flag_counts(client, account, [mailbox])
        items[StatusItem.UNSEEN] = counts[mailbox].unseen
    items[StatusItem.UIDVALIDITY] = state.uidvalidity
    return {item: b"%d" % number for item, number in items.items()}


HANDLERS: Final[Handlers] = MappingProxyType({
    Notify: notify,
})  # fmt: skip
