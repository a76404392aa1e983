"""Where a mailbox's name leads, and what who has logged in may do there (RFC 4314 §4).

Every command that names a mailbox comes through here: `find` for one that must exist, `locate` for
a name alone. What somebody may not even see does not exist to them (RFC 4314 §6).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from imap_gateway.client import Client
from imap_gateway.errors import Refusal
from imap_gateway.view.flags import ALL_BITS, ANSWERED, DELETED, DRAFT, FLAGGED, SEEN
from imap_gateway.view.names import Elsewhere, elsewhere, name_for
from posthouse.mail.rights import ALL, rights_of
from posthouse.storage import snapshots
from posthouse.storage.mailboxes import (
    ROWS_AT_ONCE,
    Mailbox,
    NoSuchMailbox,
    find_mailbox,
    list_mailboxes,
    mailbox_by_id,
)
from posthouse.storage.sharing import Identity, Owner, find_owner, identify, shared_with

IDENTITY_SECONDS = 60.0  # so long until a session learns that its groups have changed
OWN = frozenset(ALL)  # what everybody may do with their own mailboxes

_BITS = {"s": SEEN, "t": DELETED, "w": ANSWERED | FLAGGED | DRAFT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a name means.

    Attributes:
        owner: Whose mailbox; None for one's own.
        account: Its id.
        name: What its owner calls the mailbox.
    """

    owner: Owner | None
    account: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a new message is to go; whether that mailbox of one's own exists is not known yet.

    Attributes:
        account: Whose.
        name: What its owner calls the mailbox.
        rights: What may be done there.
    """

    account: int
    name: str
    rights: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A mailbox, and what who has logged in may do with it.

    Attributes:
        place: Whose it is.
        mailbox: As it stands now.
        rights: One letter each (RFC 4314 §2.1).
    """

    place: Place
    mailbox: Mailbox
    rights: frozenset[str]


async def locate(client: Client, name: str) -> Place:
    """Return whose mailbox ``name`` means; raise `NoSuchMailbox` if it is nobody's."""
    there = elsewhere(name, client.user)
    if there is None:
        return Place(owner=None, account=client.account, name=name)
    if there.address == client.user:
        return Place(owner=None, account=client.account, name=there.name)
    owner = await find_owner(client.house.pool, there.address)
    if owner is None or owner.is_shared != there.is_shared:
        raise NoSuchMailbox("No such mailbox")
    return Place(owner=owner, account=owner.account, name=there.name)


async def identity(client: Client) -> Identity:
    """Return for whom ACLs may have entries that concern this session."""
    now, known = asyncio.get_running_loop().time(), client.identity
    if known is None or known[1] + IDENTITY_SECONDS < now:
        known = await identify(client.house.pool, client.user), now
        client.identity = known
    return known[0]


async def rights(client: Client, owner: Owner | None, mailbox: Mailbox) -> frozenset[str]:
    """Return what who has logged in may do with a mailbox."""
    if owner is None:
        return OWN
    who = await identity(client)
    return rights_of(mailbox.acl, who.identifiers(owner.tenant))


async def find(client: Client, name: str, needed: str = "", *, any_of: str = "") -> Found:
    """Return the mailbox called ``name`` if all rights ``needed`` are there, and one of ``any_of``.

    Raises `NoSuchMailbox` if there is none, or if nothing may be known of it; else `Refusal`.
    """
    place = await locate(client, name)
    mailbox = await find_mailbox(client.house.pool, place.account, place.name)
    return await _permitted(client, place, mailbox, needed, any_of=any_of)


async def find_to_open(client: Client, name: str) -> tuple[Found, dict[str, int]]:
    """Return a mailbox that may be read, and the ids of its owner's keywords; raise as `find`."""
    place = await locate(client, name)
    mailbox, keywords = await snapshots.find_to_open(client.house.pool, place.account, place.name)
    return await _permitted(client, place, mailbox, "r"), keywords


async def _permitted(
    client: Client, place: Place, mailbox: Mailbox, needed: str, *, any_of: str = ""
) -> Found:
    given = await rights(client, place.owner, mailbox)
    demand(given, needed, any_of=any_of)
    return Found(place=place, mailbox=mailbox, rights=given)


async def visible(client: Client) -> dict[str, Found]:
    """Return all mailboxes on which there is the right ``l``, by the names that this user gives them.

    Who looks into many mailboxes (LIST, searches of several, notices) asks here, once.
    """
    pool, account = client.house.pool, client.account
    seen: dict[str, Found] = {}
    for number, box in enumerate(await list_mailboxes(pool, account), 1):
        place = Place(owner=None, account=account, name=box.name)
        seen[box.name] = Found(place=place, mailbox=box, rights=OWN)
        if not number % ROWS_AT_ONCE:
            await asyncio.sleep(0)  # others get their turn
    others = await shared_with(pool, account, await identity(client))
    for number, (owner, box) in enumerate(others, 1):
        given = await rights(client, owner, box)
        if "l" in given:
            there = Elsewhere(is_shared=owner.is_shared, address=owner.address, name=box.name)
            place = Place(owner=owner, account=owner.account, name=box.name)
            seen[name_for(client.user, there)] = Found(place=place, mailbox=box, rights=given)
        if not number % ROWS_AT_ONCE:
            await asyncio.sleep(0)
    return seen


async def target(client: Client, name: str) -> Target:
    """Return where a message for ``name`` goes: needs the right ``i`` (RFC 4314 §4 APPEND).

    Raises as `find` does, but nothing is asked about one's own mailboxes.
    """
    place = await locate(client, name)
    if place.owner is None:
        return Target(account=place.account, name=place.name, rights=OWN)
    found = await find(client, name, "i")
    return Target(account=place.account, name=place.name, rights=found.rights)


def demand(given: Collection[str], needed: str, *, any_of: str = "") -> None:
    """Raise unless all rights ``needed`` are among ``given``, and one of ``any_of``.

    Without ``l`` it must not be known that there is something (RFC 4314 §6).
    """
    if set(needed) <= set(given) and (not any_of or set(any_of) & set(given)):
        return
    if "l" not in given:
        raise NoSuchMailbox("No such mailbox")
    raise Refusal("Permission denied", b"NOPERM")  # RFC 5530 §3


async def demand_now(client: Client, needed: str) -> frozenset[str]:
    """Return what may be done with the selected mailbox now; raise `Refusal` if ``needed`` is not.

    A guest's are read each time, for they may be taken away.
    """
    selected = client.mailbox()
    if selected.owner is not None:
        view = selected.position.view
        mailbox = await mailbox_by_id(client.house.pool, view.account, view.mailbox)
        selected.rights = await rights(client, selected.owner, mailbox)
    if not set(needed) <= selected.rights:
        raise Refusal("Permission denied", b"NOPERM")
    return selected.rights


def flags_allowed(rights: Collection[str]) -> int:
    """Return the bits of the system flags that may be changed (RFC 4314 §4); keywords go by ``w``."""
    if rights is OWN:
        return ALL_BITS
    return sum(bits for right, bits in _BITS.items() if right in rights)


def flags_kept(
    rights: Collection[str], bits: int, words: Sequence[str]
) -> tuple[int, tuple[str, ...]]:
    """Return which flags of an appended message are stored (RFC 4314 §4 COPY and APPEND)."""
    return bits & flags_allowed(rights), tuple(words) if "w" in rights else ()
