"""Who may do what with a mailbox: rights and who has them (RFC 4314 §2, §3).

An ACL maps identifiers to rights. An identifier is an address, ``group:`` with the address of a
group, or ``anyone``; one with a ``-`` before it names rights that are taken away again.

The owner of a mailbox always has every right and no entry: nobody locks themselves out, and nobody's
own mail waits for a look at an ACL.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

ALL = "lrswipkxtea"  # in the order of RFC 4314 §2.1
ANYONE = "anyone"
GROUP = "group:"
MAX_IDENTIFIERS = 200  # of one mailbox
MAX_IDENTIFIER_OCTETS = 300

# RFC 4314 §2.1.1: what the rights of RFC 2086 stand for.
_OLD = {"c": "kx", "d": "te"}


def parse_rights(text: str) -> str:
    """Return rights as written by a client, in our order; raise `ValueError` for unknown ones."""
    expanded = set("".join(_OLD.get(right, right) for right in text))
    if expanded - set(ALL):
        raise ValueError("no such right")
    return in_order(expanded)


def in_order(rights: Collection[str]) -> str:
    """Return rights as text."""
    return "".join(right for right in ALL if right in rights)


def shown_rights(rights: Collection[str]) -> str:
    """Return rights as clients are told, those of RFC 2086 among them: ``lrswipkxtecda``."""
    old = "".join(name for name, means in _OLD.items() if set(means) & set(rights))
    told = in_order(rights)
    return told.removesuffix("a") + old + ("a" if told.endswith("a") else "")


def rights_of(acl: Mapping[str, str] | None, identifiers: Collection[str]) -> frozenset[str]:
    """Return what somebody may do who is not the owner.

    Args:
        acl: Of the mailbox; None where nobody wrote one.
        identifiers: That stand for who asks.
    """
    acl = acl or {}
    given: set[str] = set()
    taken: set[str] = set()
    for identifier in identifiers:
        given.update(acl.get(identifier, ""))
        taken.update(acl.get(f"-{identifier}", ""))
    return frozenset(given - taken)
