"""What a session changes itself is no news to its client: NOTIFY leaves it out (RFC 5465 §5).

What was told of a mailbox moves on with the session's own change, and with nothing else: what others
did before or behind it is found by the next look.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from hashlib import blake2b

from imap_gateway import places
from imap_gateway.client import Client
from imap_gateway.noticing import Noticing
from imap_gateway.places import Found, Place
from imap_gateway.view.names import SEPARATOR, Elsewhere, name_for
from imap_gateway.view.notices import State
from posthouse.storage.mailboxes import Mailbox

METADATA_RIGHTS = frozenset("rswip")  # RFC 5464 §3.3: with l, one of these

Key = tuple[int, int]


def state_of(client: Client, found: Found, *, is_subscribed: bool) -> State:
    """Return how a mailbox is now."""
    box = found.mailbox
    return State(
        key=(box.account, box.id),
        is_own=box.account == client.account,
        is_readable="r" in found.rights,
        tells_metadata=not found.rights.isdisjoint(METADATA_RIGHTS),
        is_subscribed=is_subscribed,
        uidvalidity=box.uidvalidity,
        uidnext=box.uidnext,
        exists=box.exists,
        modseq=box.modseq,
    )


def _name(client: Client, place: Place) -> str:
    """Return how this user calls a mailbox."""
    owner = place.owner
    if owner is None:
        return place.name
    there = Elsewhere(is_shared=owner.is_shared, address=owner.address, name=place.name)
    return name_for(client.user, there)


async def made(client: Client, place: Place, mailbox: Mailbox) -> None:
    """CREATE made a mailbox."""
    if client.noticing is None:
        return
    rights = await places.rights(client, place.owner, mailbox)
    if "l" in rights:
        found = Found(place=place, mailbox=mailbox, rights=rights)
        is_subscribed = place.owner is None and mailbox.subscribed
        client.noticing.known[_name(client, place)] = state_of(
            client, found, is_subscribed=is_subscribed
        )


def gone(client: Client, place: Place) -> None:
    """DELETE removed one."""
    if client.noticing is not None:
        client.noticing.known.pop(_name(client, place), None)


def renamed(client: Client, old: Place, new: Place) -> None:
    """RENAME renamed one with what lies below."""
    if client.noticing is None:
        return
    before, after = _name(client, old), _name(client, new)
    client.noticing.known = {
        after + name.removeprefix(before) if _is_within(name, before) else name: state
        for name, state in client.noticing.known.items()
    }


def _is_within(name: str, top: str) -> bool:
    return name == top or name.startswith(top + SEPARATOR)


def subscribed(client: Client, name: str, *, on: bool) -> None:
    """SUBSCRIBE or UNSUBSCRIBE was said of a name."""
    if client.noticing is not None and (state := client.noticing.known.get(name)) is not None:
        client.noticing.known[name] = replace(state, is_subscribed=on)


def annotated(client: Client, key: Key, values: Mapping[str, bytes | None], step: int) -> None:
    """SETMETADATA set values, in a step of the mailbox."""
    noticing = client.noticing
    if noticing is None:
        return
    _advance(noticing, key, step)
    if not noticing.wants_metadata:
        return
    named = {entry.lower() for entry in values}
    left = {
        entry: digest
        for entry, digest in noticing.entries.get(key, {}).items()
        if entry.lower() not in named
    }
    new = {entry: digest_of(value) for entry, value in values.items() if value is not None}
    noticing.entries = {**noticing.entries, key: left | new}


def digest_of(value: bytes | None) -> bytes:
    """Return what tells whether a value has changed."""
    return blake2b(value or b"").digest()


def filed(client: Client, key: Key, uids: range, step: int, *, steps: int = 1) -> None:
    """Messages with these UIDs came by APPEND, COPY or MOVE: so many steps, up to this one."""
    noticing, selected = client.noticing, client.selected
    if noticing is None or not uids:
        return
    if selected is not None and key == selected.position.view.key:
        noticing.own.append(uids)
    _advance(noticing, key, step, came=len(uids), steps=steps)


def left(client: Client, key: Key, many: int, step: int) -> None:
    """So many messages left a mailbox that is not selected: RENAME of INBOX."""
    if client.noticing is not None:
        _advance(client.noticing, key, step, went=many)


def _advance(
    noticing: Noticing, key: Key, step: int, *, came: int = 0, went: int = 0, steps: int = 1
) -> None:
    """Know a mailbox as a step left it, if nobody else was at work before."""
    for name, state in noticing.known.items():
        if state.key == key:
            if state.modseq + steps == step:
                exists, uidnext = state.exists + came - went, state.uidnext + came
                noticing.known[name] = replace(state, modseq=step, exists=exists, uidnext=uidnext)
            return
