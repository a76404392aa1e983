"""The commands that make and show mailboxes, as values (RFC 3501 §6.3, RFC 5258, RFC 6154)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from imap_gateway.protocol.metadata import Wish

SPECIAL_USES = ("\\Archive", "\\Drafts", "\\Important", "\\Junk", "\\Sent", "\\Trash")
VIRTUAL_USES = ("\\All", "\\Flagged")  # RFC 6154 §2: of views over all mailboxes, which we have not


@dataclass(frozen=True, slots=True)
class Create:
    """RFC 3501 §6.3.3; ``uses`` is RFC 6154 §3, as written."""

    mailbox: str
    uses: tuple[str, ...] = ()


class Selecting(Enum):
    """Which names LIST selects (RFC 5258 §3.1); the value is the name on the wire."""

    SUBSCRIBED = b"SUBSCRIBED"
    SPECIAL_USE = b"SPECIAL-USE"  # RFC 6154 §2
    REMOTE = b"REMOTE"  # we know of none
    RECURSIVEMATCH = b"RECURSIVEMATCH"


class StatusItem(Enum):
    """What STATUS can tell; the value is the name on the wire."""

    MESSAGES = b"MESSAGES"
    RECENT = b"RECENT"
    UIDNEXT = b"UIDNEXT"
    UIDVALIDITY = b"UIDVALIDITY"
    UNSEEN = b"UNSEEN"
    HIGHESTMODSEQ = b"HIGHESTMODSEQ"  # RFC 7162 §3.1.7
    SIZE = b"SIZE"  # RFC 8438
    DELETED = b"DELETED"  # RFC 9208 §4.1.4
    DELETED_STORAGE = b"DELETED-STORAGE"  # likewise
    MAILBOXID = b"MAILBOXID"  # RFC 8474 §4.3
    APPENDLIMIT = b"APPENDLIMIT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Returning:
    """What LIST tells of each name (RFC 5258 §3.2).

    Attributes:
        subscribed: Whether it is subscribed to.
        children: Whether it has any, even if it is no mailbox itself.
        myrights: RFC 8440.
        status: RFC 5819.
        metadata: RFC 9590.
    """

    subscribed: bool = False
    children: bool = False
    myrights: bool = False
    status: tuple[StatusItem, ...] = ()
    metadata: Wish | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class List:
    """RFC 3501 §6.3.8, LSUB §6.3.9, and RFC 5258.

    Attributes:
        reference: Stands before each pattern.
        patterns: With wildcards; none if nothing that was asked for can be a name.
        is_lsub: LSUB.
        is_extended: In one of the ways of RFC 5258 §1: then an empty pattern is nothing special.
        selecting: Conditions.
        returning: What is told besides the attributes.
    """

    reference: str
    patterns: tuple[str, ...]
    is_lsub: bool = False
    is_extended: bool = False
    selecting: frozenset[Selecting] = frozenset()
    returning: Returning = Returning()


@dataclass(frozen=True, slots=True)
class Status:
    """RFC 3501 §6.3.10."""

    mailbox: str
    items: tuple[StatusItem, ...]
