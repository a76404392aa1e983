"""The commands of IMAP as values (RFC 3501 §6 and the extensions named at each)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import TypeAlias

from imap_gateway.protocol.items import FetchItem
from imap_gateway.protocol.keys import Key
from imap_gateway.protocol.sequences import SequenceSet


@dataclass(frozen=True, slots=True)
class Capability:
    """§6.1.1."""


@dataclass(frozen=True, slots=True)
class Noop:
    """§6.1.2."""


@dataclass(frozen=True, slots=True)
class Logout:
    """§6.1.3."""


@dataclass(frozen=True, slots=True)
class StartTls:
    """§6.2.1."""


@dataclass(frozen=True, slots=True)
class Authenticate:
    """§6.2.2; ``initial`` is base64 as it came (RFC 4959)."""

    mechanism: str
    initial: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Login:
    """§6.2.3."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Select:
    """§6.3.1, and EXAMINE §6.3.2; ``is_condstore`` is RFC 7162 §3.1.8."""

    mailbox: str
    is_examine: bool
    is_condstore: bool = False


@dataclass(frozen=True, slots=True)
class Create:
    """§6.3.3."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class Delete:
    """§6.3.4."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class Rename:
    """§6.3.5."""

    mailbox: str
    new: str


@dataclass(frozen=True, slots=True)
class Subscribe:
    """§6.3.6, and UNSUBSCRIBE §6.3.7."""

    mailbox: str
    on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class List:
    """§6.3.8, and LSUB §6.3.9."""

    reference: str
    pattern: str
    is_subscribed: bool


class StatusItem(Enum):
    """What STATUS can tell; the value is the name on the wire."""

    MESSAGES = b"MESSAGES"
    RECENT = b"RECENT"
    UIDNEXT = b"UIDNEXT"
    UIDVALIDITY = b"UIDVALIDITY"
    UNSEEN = b"UNSEEN"
    HIGHESTMODSEQ = b"HIGHESTMODSEQ"  # RFC 7162 §3.1.7


@dataclass(frozen=True, slots=True)
class Status:
    """§6.3.10."""

    mailbox: str
    items: tuple[StatusItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """§6.3.11; ``flags`` as names, ``date`` None for now."""

    mailbox: str
    flags: tuple[str, ...]
    date: datetime | None
    message: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Check:
    """§6.4.1."""


@dataclass(frozen=True, slots=True)
class Close:
    """§6.4.2; ``is_unselect`` is UNSELECT, which expunges nothing (RFC 3691)."""

    is_unselect: bool


@dataclass(frozen=True, slots=True)
class Expunge:
    """§6.4.3; ``uids`` is UID EXPUNGE (RFC 4315 §2.1)."""

    uids: SequenceSet | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """§6.4.4."""

    key: Key
    is_uid: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """§6.4.5; ``changed_since`` is RFC 7162 §3.1.4.1."""

    numbers: SequenceSet
    items: tuple[FetchItem, ...]
    is_uid: bool
    changed_since: int | None = None


class Change(Enum):
    """How STORE changes flags."""

    ADD = "+"
    REMOVE = "-"
    REPLACE = "="


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """§6.4.6; ``unchanged_since`` is RFC 7162 §3.1.3."""

    numbers: SequenceSet
    change: Change
    flags: tuple[str, ...]
    is_silent: bool
    is_uid: bool
    unchanged_since: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """§6.4.7, and MOVE (RFC 6851)."""

    numbers: SequenceSet
    mailbox: str
    is_uid: bool
    is_move: bool


@dataclass(frozen=True, slots=True)
class Idle:
    """RFC 2177."""


@dataclass(frozen=True, slots=True)
class Namespace:
    """RFC 2342."""


@dataclass(frozen=True, slots=True)
class Id:
    """RFC 2971."""

    fields: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class Enable:
    """RFC 5161; names in upper case."""

    capabilities: tuple[bytes, ...]


Command: TypeAlias = (
    Capability | Noop | Logout | StartTls | Authenticate | Login | Select | Create | Delete | Rename
    | Subscribe | List | Status | Append | Check | Close | Expunge | Search | Fetch | Store | Copy
    | Idle | Namespace | Id | Enable
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Tagged:
    """One command as it came: its tag, its name in upper case (``UID FETCH``), its meaning."""

    tag: bytes
    name: str
    command: Command
