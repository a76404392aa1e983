"""GETMETADATA and SETMETADATA (RFC 5464), and the metadata of every mailbox of a LIST (RFC 9590).

A private entry is its writer's alone, also on a mailbox of somebody else. Two entries are made by
the server: ``/shared/admin``, and ``/private/specialuse``, which is what LIST shows (RFC 6154 §4).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from imap_gateway import own_changes, places
from imap_gateway.client import Client, Done, Handlers
from imap_gateway.committing import committing
from imap_gateway.errors import Refusal
from imap_gateway.protocol import metadata as m
from imap_gateway.protocol import responses
from imap_gateway.special_uses import checked_uses
from posthouse.storage import annotations as store
from posthouse.storage.annotations import EVERYBODY, SERVER, Annotation, read_annotations
from posthouse.storage.mailboxes import Mailbox, set_special_uses
from posthouse.storage.pool import transaction

ANY_OF = "".join(own_changes.METADATA_RIGHTS)


async def get(client: Client, command: m.GetMetadata) -> Done:
    """GETMETADATA (§4.2)."""
    wish = command.wish
    if command.mailbox:
        box = (await places.find(client, command.mailbox, "l", any_of=ANY_OF)).mailbox
        account, number, made = box.account, box.id, _made_for(client, box)
    else:
        account, number, made = client.account, SERVER, _made_for_server(client)
    found = await read_annotations(
        client.house.pool, account, [number], client.account, wish.entries, wish.max_size
    )
    values, longest = _chosen(wish, found, made)
    client.wire.write(_line(client.shown(command.mailbox), values))
    await client.wire.drain()
    return Done("GETMETADATA done", b"METADATA LONGENTRIES %d" % longest if longest else b"")


def _chosen(
    wish: m.Wish, found: Sequence[Annotation], made: Mapping[str, bytes]
) -> tuple[dict[str, bytes | None], int]:
    """Return what is told: the values, and the size of the largest one that is too large.

    What was asked for by its name and is not there is told as NIL.
    """
    limit = wish.max_size
    values: dict[str, bytes | None] = {}
    sizes = {one.entry: one.size for one in found if wish.wants(one.entry)}
    values |= {
        one.entry: one.value for one in found if one.entry in sizes and one.value is not None
    }
    for entry, value in made.items():
        if wish.wants(entry):
            sizes[entry] = len(value)
            if limit is None or len(value) <= limit:
                values[entry] = value
    if not wish.depth:
        there = {entry.lower() for entry in sizes}
        values |= {entry: None for entry in wish.entries if entry.lower() not in there}
    too_large = [size for size in sizes.values() if limit is not None and size > limit]
    return values, max(too_large, default=0)


def _line(name: bytes, values: Mapping[str, bytes | None]) -> bytes:
    """Return the METADATA response (§4.4.1)."""
    if not values:
        return b""
    told = b" ".join(
        b"%b %b" % (entry.encode(), b"NIL" if value is None else responses.string8(value))
        for entry, value in values.items()
    )
    return responses.untagged(b"METADATA %b (%b)" % (name, told))


def _made_for(client: Client, box: Mailbox) -> dict[str, bytes]:
    if box.account != client.account or not box.uses:
        return {}
    return {m.SPECIAL_USE: " ".join(box.uses).encode()}


def _made_for_server(client: Client) -> dict[str, bytes]:
    return {m.ADMIN: f"mailto:postmaster@{client.user.rpartition('@')[2]}".encode()}


async def metadata_lines(
    client: Client, boxes: Mapping[str, Mailbox], wish: m.Wish
) -> dict[str, bytes]:
    """Return the METADATA responses of many mailboxes, by their names."""
    by_account: defaultdict[int, list[int]] = defaultdict(list)
    for box in boxes.values():
        by_account[box.account].append(box.id)
    found: defaultdict[int, list[Annotation]] = defaultdict(list)
    for account, numbers in by_account.items():
        for one in await read_annotations(
            client.house.pool, account, numbers, client.account, wish.entries, wish.max_size
        ):
            found[one.mailbox].append(one)
    return {
        name: _line(client.shown(name), _chosen(wish, found[box.id], _made_for(client, box))[0])
        for name, box in boxes.items()
    }


async def set_(client: Client, command: m.SetMetadata) -> Done:
    """SETMETADATA (§4.3): all entries or none.

    Shared entries of a mailbox need the right ``w`` as well; those of the server are not set here.
    """
    values = dict(command.values)
    if any(value is not None and len(value) > store.MAX_VALUE_OCTETS for value in values.values()):
        raise Refusal("Value too large", b"METADATA MAXSIZE %d" % store.MAX_VALUE_OCTETS)
    shared = {entry: value for entry, value in values.items() if _is_shared(entry)}
    if command.mailbox:
        needed = "lw" if shared else "l"
        box = (await places.find(client, command.mailbox, needed, any_of=ANY_OF)).mailbox
        account, number, uses = box.account, box.id, await _uses(client, box, values)
    elif shared:
        raise Refusal("Shared entries of the server are not set by clients", b"NOPERM")
    else:
        account, number, uses = client.account, SERVER, None
    private = {entry: value for entry, value in values.items() if entry not in shared}
    entries = {EVERYBODY: shared, client.account: private}
    try:
        with committing():
            async with transaction(client.house.pool) as tx:
                step = await store.write_annotations(tx, account, number, entries)
                if uses is not None:
                    await set_special_uses(tx, account, number, uses)
    except store.TooManyAnnotations as error:
        raise Refusal("Too many annotations", b"METADATA TOOMANY") from error
    own_changes.annotated(client, (account, number), dict(command.values), step)
    client.house.updates.tell(account, number, step)
    return Done("SETMETADATA done")


def _is_shared(entry: str) -> bool:
    return entry.lower().startswith(m.SHARED)


async def _uses(
    client: Client, box: Mailbox, values: dict[str, bytes | None]
) -> tuple[str, ...] | None:
    """Take ``/private/specialuse`` out of ``values``: checked special uses, None if not given."""
    names = [entry for entry in values if entry.lower() == m.SPECIAL_USE]
    if not names:
        return None
    value = [values.pop(name) for name in names][-1]
    written = tuple((value or b"").decode("ascii", "replace").split())
    return checked_uses(written, is_own=box.account == client.account)


HANDLERS: Final[Handlers] = MappingProxyType({
    m.GetMetadata: get,
    m.SetMetadata: set_,
})  # fmt: skip
