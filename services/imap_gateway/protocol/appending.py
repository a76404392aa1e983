"""What brings messages in: APPEND (RFC 3501 §6.3.11, RFC 3502, 4469, 6855) and REPLACE (RFC 8508)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from imap_gateway.protocol.octets import Octets


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal:
    """Octets that the client sends.

    Attributes:
        octets: They, or where they were put aside.
        is_binary: As ``literal8``: they may hold NUL (RFC 3516 §4.4).
    """

    octets: Octets = field(repr=False)
    is_binary: bool = False


@dataclass(frozen=True, slots=True)
class Url:
    """``URL astring`` (RFC 4469 §3), not read yet: a bad one is refused, it is no bad syntax."""

    text: bytes


Source: TypeAlias = Literal | Url


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """One message that is to be filed.

    Attributes:
        flags: Names.
        date: INTERNALDATE; None for now.
        sources: What it is made of, one behind the other.
    """

    flags: tuple[str, ...]
    date: datetime | None
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """APPEND; several ``messages`` are filed together or not at all (RFC 3502)."""

    mailbox: str
    messages: tuple[NewMessage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replace:
    """REPLACE and UID REPLACE (RFC 8508); ``number`` 0 is ``*``."""

    number: int
    is_uid: bool
    mailbox: str
    message: NewMessage
