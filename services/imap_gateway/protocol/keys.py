"""What SEARCH can ask for, as values (RFC 3501 §6.4.4, RFC 5032, RFC 7162 §3.1.5, RFC 8514 §4.3)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import TypeAlias

from imap_gateway.protocol.sequences import SequenceSet


@dataclass(frozen=True, slots=True)
class Every:
    """ALL."""


@dataclass(frozen=True, slots=True)
class Flagged:
    """Has (or has not) a system flag: a bit of `imap_gateway.view.flags`."""

    bit: int
    is_set: bool


@dataclass(frozen=True, slots=True)
class Recent:
    r"""RECENT, OLD: the session is (not) the first to be told."""

    is_set: bool


@dataclass(frozen=True, slots=True)
class Keyword:
    """KEYWORD, UNKEYWORD."""

    name: str
    is_set: bool


@dataclass(frozen=True, slots=True)
class Size:
    """LARGER, SMALLER: than ``octets``."""

    octets: int
    is_larger: bool


class Order(Enum):
    """How a date compares, time and zone disregarded."""

    BEFORE = "BEFORE"
    ON = "ON"
    SINCE = "SINCE"


class Which(Enum):
    """Which of a message's dates; the value is the beginning of the key's name."""

    INTERNAL = ""
    SENT = "SENT"  # the Date field
    SAVED = "SAVED"  # RFC 8514


@dataclass(frozen=True, slots=True)
class Dated:
    """BEFORE, ON, SINCE of one of the dates."""

    order: Order
    day: date
    which: Which


@dataclass(frozen=True, slots=True)
class Within:
    """OLDER, YOUNGER: the internal date is so many seconds ago, or less (RFC 5032)."""

    seconds: int
    is_older: bool


class Where(Enum):
    """What a text is looked for in."""

    FROM = "FROM"
    TO = "TO"
    CC = "CC"
    BCC = "BCC"
    SUBJECT = "SUBJECT"
    BODY = "BODY"
    TEXT = "TEXT"
    HEADER = "HEADER"


@dataclass(frozen=True, slots=True)
class Contains:
    """A substring, compared without case (RFC 3501 §6.4.4).

    Attributes:
        where: What is looked into.
        text: What is looked for; empty finds any header field that is there.
        header: The field's name, lower case, where ``where`` is HEADER.
    """

    where: Where
    text: str
    header: str = ""


@dataclass(frozen=True, slots=True)
class InSet:
    """A sequence set, or UID with one."""

    numbers: SequenceSet
    is_uid: bool


@dataclass(frozen=True, slots=True)
class HasId:
    """EMAILID, or THREADID: exactly this (RFC 8474 §6)."""

    ident: str
    is_thread: bool


@dataclass(frozen=True, slots=True)
class ChangedSince:
    """MODSEQ: at least this (RFC 7162 §3.1.5)."""

    modseq: int


@dataclass(frozen=True, slots=True)
class Not:
    """NOT."""

    key: Key


@dataclass(frozen=True, slots=True)
class Or:
    """OR."""

    one: Key
    other: Key


@dataclass(frozen=True, slots=True)
class And:
    """Several keys, or a list in parentheses."""

    keys: tuple[Key, ...]


Key: TypeAlias = (
    Every | Flagged | Recent | Keyword | Size | Dated | Within | Contains | HasId | InSet | ChangedSince
    | Not | Or | And
)  # fmt: skip
