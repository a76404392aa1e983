"""Sender rights: which addresses an account may send as. Pure.

An account's own are its address, with any detail, and the aliases that stand for it. Others are
lent to it, one by one or by domain (``*@example.org``), as if they were its own or on behalf of
their owner: then the message must name the account in its Sender field (RFC 5322 §3.6.2).

    strict    only these
    relaxed   and addresses of other houses; never somebody else's of ours
    off       anything

Admission asks while the client waits. Routing asks again, because ingress lets an account through
when no policy pod answers; what was sent under a stranger's name is then refused, and the account
that submitted it is told, never the one whose name it bears.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Literal, TypeAlias

from policy_engine.places import Known, Place, find, keys_of
from posthouse.mail.address import Address, BadAddress, parse_address

Ownership: TypeAlias = Literal["strict", "relaxed", "off"]
Grants: TypeAlias = Mapping[str, bool]  # address or *@domain: whether on behalf only
NO_GRANTS: Grants = {}
ANYBODY = "*"  # the local part of a grant for a whole domain


class Right(Enum):
    """What an address is to an account."""

    OWN = "its own, or lent as if it were"
    ON_BEHALF = "somebody's who lets it send for them"
    FOREIGN = "of another house"
    NONE = "somebody else's here, nobody's here, or no address"


def rights_keys(sender: str, auth: str) -> tuple[str, ...]:
    """Return the keys that must be known for `right_to`; none if the answer is plain."""
    if is_plain(sender, auth):
        return ()
    return tuple(key for text in (sender, auth) if (one := read(text)) for key in keys_of(one))


def is_plain(sender: str, auth: str) -> bool:
    """True if nothing need be known: nobody, a stranger, or the account itself."""
    return not sender or not auth or sender.lower() == auth.lower()


def may_send(
    sender: str, auth: str, known: Known, grants: Grants, ownership: Ownership = "strict"
) -> bool:
    """True if the account ``auth`` may send as ``sender``; a stranger and the null path may."""
    return is_plain(sender, auth) or allows(ownership, right_to(sender, auth, known, grants))


def allows(ownership: Ownership, right: Right) -> bool:
    """True if an address that is ``right`` to an account may be sent as."""
    match right:
        case Right.OWN | Right.ON_BEHALF:
            return True
        case Right.FOREIGN:
            return ownership != "strict"
        case Right.NONE:
            return ownership == "off"


def right_to(claimed: str, auth: str, known: Known, grants: Grants) -> Right:
    """Return what ``claimed`` is to the account ``auth``; `rights_keys` must be known."""
    if claimed.lower() == auth.lower():
        return Right.OWN
    address, owner = read(claimed), read(auth)
    if address is None or owner is None:
        return Right.NONE
    place, mine = find(address, known), find(owner, known)
    if place is not None and mine is not None and _is_own(place, mine):
        return Right.OWN
    lent = _lent(address, grants)
    if lent is not None:
        return Right.ON_BEHALF if lent else Right.OWN
    return Right.NONE if place is not None else Right.FOREIGN


def read(text: str) -> Address | None:
    """Return the address, None if it is none."""
    try:
        return parse_address(text)
    except BadAddress:
        return None


def _is_own(place: Place, mine: Place) -> bool:
    if mine.account is None:
        return False
    if place.account is not None and place.account.id == mine.account.id:
        return True
    targets = place.alias.targets if place.alias else ()
    return mine.account.address in {address.key for t in targets if (address := read(t))}


def _lent(address: Address, grants: Grants) -> bool | None:
    """Return whether ``address`` is lent on behalf only; None if it is not lent at all."""
    if not grants:
        return None
    keys = keys_of(address)
    wide = dict.fromkeys(f"{ANYBODY}@{key.rpartition('@')[2]}" for key in keys)
    return next((grants[key] for key in (*keys, *wide) if key in grants), None)
