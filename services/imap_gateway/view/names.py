"""Whose mailbox a name means: one's own, another user's, a shared one (RFC 2342).

INBOX, Projects                 one's own
user/anna, user/anna/Projects   of anna in one's own domain: her INBOX, her Projects
user/anna@other.example/…       of anna in another domain
shared/sales, shared/sales/…    of a shared tree, likewise
"""

from __future__ import annotations

from dataclasses import dataclass

SEPARATOR = "/"
INBOX = "INBOX"
USERS, SHARED = "user", "shared"
TREES = (USERS, SHARED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """A mailbox in the tree of somebody.

    Attributes:
        is_shared: The tree is nobody's own.
        address: Whose, in the form of `Address.key`.
        name: What the owner calls the mailbox.
    """

    is_shared: bool
    address: str
    name: str


def is_reserved(name: str) -> bool:
    """True if the first level is that of other people's mailboxes."""
    return name.partition(SEPARATOR)[0] in TREES


def elsewhere(name: str, user: str) -> Elsewhere | None:
    """Return what ``name`` means to ``user`` (an address) if it is in a tree; else None."""
    tree, _, rest = name.partition(SEPARATOR)
    who, _, inside = rest.partition(SEPARATOR)
    if tree not in TREES or not who:
        return None
    address = who if "@" in who else f"{who}@{user.rpartition('@')[2]}"
    return Elsewhere(is_shared=tree == SHARED, address=address.lower(), name=_own_name(inside))


def _own_name(inside: str) -> str:
    first, slash, rest = inside.partition(SEPARATOR)
    if not inside or first.upper() == INBOX:
        return f"{INBOX}{slash}{rest}"
    return inside


def name_for(user: str, there: Elsewhere) -> str:
    """Return how ``user`` calls a mailbox of somebody else."""
    who = there.address.removesuffix("@" + user.rpartition("@")[2])
    root = f"{SHARED if there.is_shared else USERS}{SEPARATOR}{who}"
    return root if there.name == INBOX else f"{root}{SEPARATOR}{there.name}"
