"""Sender rights: an account sends as itself, with any detail, or as an alias that stands for it. Pure.

Admission asks while the client waits. Routing asks again, because ingress lets an account through
when no policy pod answers; what was sent under a stranger's name is then refused, and the account
that submitted it is told, never the one whose name it bears.
"""

from __future__ import annotations

from policy_engine.places import Known, Place, find, keys_of
from posthouse.mail.address import Address, BadAddress, parse_address


def rights_keys(sender: str, auth: str) -> tuple[str, ...]:
    """Return the keys that must be known for `may_send`; none if the answer is plain."""
    if _is_plain(sender, auth):
        return ()
    return tuple(key for text in (sender, auth) if (one := read(text)) for key in keys_of(one))


def may_send(sender: str, auth: str, known: Known) -> bool:
    """True if the account ``auth`` may send as ``sender``; a stranger and the null path may."""
    if _is_plain(sender, auth):
        return True
    claimed, owner = read(sender), read(auth)
    if claimed is None or owner is None:
        return False
    place, mine = find(claimed, known), find(owner, known)
    return place is not None and mine is not None and _may_use(place, mine)


def read(text: str) -> Address | None:
    """Return the address, None if it is none."""
    try:
        return parse_address(text)
    except BadAddress:
        return None


def _is_plain(sender: str, auth: str) -> bool:
    return not sender or not auth or sender.lower() == auth.lower()


def _may_use(place: Place, mine: Place) -> bool:
    if mine.account is None:
        return False
    if place.account is not None and place.account.id == mine.account.id:
        return True
    targets = place.alias.targets if place.alias else ()
    return mine.account.address in {address.key for t in targets if (address := read(t))}
