"""The commands that find messages, as values (RFC 3501 §6.4.4 and the extensions named at each)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from imap_gateway.protocol.items import FetchItem
from imap_gateway.protocol.keys import Key
from imap_gateway.protocol.pages import Partial
from imap_gateway.protocol.sources import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Returns:
    """Which results are wanted (RFC 4731 §3.1); SAVE is RFC 5182, the last four are RFC 5267.

    An empty list stands for ALL. UPDATE may name what FETCH is to tell of new ones (RFC 5465 §7).
    """

    has_min: bool = False
    has_max: bool = False
    has_all: bool = False
    has_count: bool = False
    saves: bool = False
    updates: bool = False
    items: tuple[FetchItem, ...] = ()
    is_context: bool = False
    partial: Partial | None = None

    @property
    def tells(self) -> bool:
        """There is something to be answered: SAVE alone suppresses the response (RFC 5182 §1)."""
        return self.has_min or self.has_max or self.has_all or self.has_count or bool(self.partial)

    @property
    def saves_all(self) -> bool:
        """SAVE is of all that was found (RFC 5182 §2.4, RFC 9394 §3.2)."""
        return self.has_all or self.has_count or not self.tells


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What is looked for, and what is answered.

    Attributes:
        key: All messages that match it.
        charset: Of the texts, upper case; None if the client named none.
        is_uid: The answer names UIDs.
        returns: None without RETURN.
    """

    key: Key
    charset: str | None
    is_uid: bool
    returns: Returns | None


@dataclass(frozen=True, slots=True)
class Search:
    """SEARCH (RFC 3501 §6.4.4)."""

    program: Program


@dataclass(frozen=True, slots=True)
class MultiSearch:
    """ESEARCH (RFC 7377); without sources the selected mailbox is meant."""

    sources: tuple[Source, ...]
    program: Program


class SortKey(Enum):
    """A sort-key (RFC 5256 §5, RFC 5957 §5)."""

    ARRIVAL = b"ARRIVAL"
    CC = b"CC"
    DATE = b"DATE"
    FROM = b"FROM"
    SIZE = b"SIZE"
    SUBJECT = b"SUBJECT"
    TO = b"TO"
    DISPLAYFROM = b"DISPLAYFROM"
    DISPLAYTO = b"DISPLAYTO"


@dataclass(frozen=True, slots=True)
class Criterion:
    """A sort-criterion."""

    key: SortKey
    is_reverse: bool


@dataclass(frozen=True, slots=True)
class Sort:
    """SORT (RFC 5256 §3, RFC 5267 §3)."""

    order: tuple[Criterion, ...]
    program: Program


class Algorithm(Enum):
    """Of THREAD (RFC 5256 §3)."""

    ORDEREDSUBJECT = b"ORDEREDSUBJECT"
    REFERENCES = b"REFERENCES"


@dataclass(frozen=True, slots=True)
class Thread:
    """THREAD (RFC 5256 §3)."""

    algorithm: Algorithm
    program: Program


@dataclass(frozen=True, slots=True)
class CancelUpdate:
    """CANCELUPDATE (RFC 5267 §4.3.5)."""

    tags: tuple[bytes, ...]
