"""The commands of RFC 3501 §6 as values; those of later families stand in the families' modules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias, cast

from imap_gateway.protocol.items import FetchItem
from imap_gateway.protocol.pages import Partial
from imap_gateway.protocol.resync_grammar import Resync
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
    """§6.3.1, and EXAMINE §6.3.2; ``parameters`` as `parameters.SELECT` reads them."""

    mailbox: str
    is_examine: bool
    parameters: Mapping[bytes, object] = field(default_factory=dict)
    given: str = field(default="", compare=False)  # the name as the client wrote it

    @property
    def resync(self) -> Resync | None:
        """RFC 7162 §3.2.5."""
        return cast("Resync | None", self.parameters.get(b"QRESYNC"))


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
class Fetch:
    """§6.4.5; ``modifiers`` as `parameters.FETCH` reads them."""

    numbers: SequenceSet
    items: tuple[FetchItem, ...]
    is_uid: bool
    modifiers: Mapping[bytes, object] = field(default_factory=dict)

    @property
    def changed_since(self) -> int | None:
        """RFC 7162 §3.1.4.1."""
        return cast("int | None", self.modifiers.get(b"CHANGEDSINCE"))

    @property
    def page(self) -> Partial | None:
        """RFC 9394 §3.3."""
        return cast("Partial | None", self.modifiers.get(b"PARTIAL"))

    @property
    def asks_vanished(self) -> bool:
        """RFC 7162 §3.2.6."""
        return b"VANISHED" in self.modifiers


class Change(Enum):
    """How STORE changes flags."""

    ADD = "+"
    REMOVE = "-"
    REPLACE = "="


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """§6.4.6; ``modifiers`` as `parameters.STORE` reads them."""

    numbers: SequenceSet
    change: Change
    flags: tuple[str, ...]
    is_silent: bool
    is_uid: bool
    modifiers: Mapping[bytes, object] = field(default_factory=dict)

    @property
    def unchanged_since(self) -> int | None:
        """RFC 7162 §3.1.3."""
        return cast("int | None", self.modifiers.get(b"UNCHANGEDSINCE"))


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


# A value of this module or of a family's own: what the family's `RULES` return and `HANDLERS` take.
Command: TypeAlias = object


@dataclass(frozen=True, slots=True, kw_only=True)
class Tagged:
    """One command as it came: its tag, its name in upper case (``UID FETCH``), its meaning."""

    tag: bytes
    name: str
    command: Command
