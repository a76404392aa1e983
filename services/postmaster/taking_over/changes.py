"""What an import finds: changes to be made, and lines that are not taken, each with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from posthouse.mail.access_keys import Kind
from posthouse.mail.maps import BadEntry, Entry, entry_of
from posthouse.storage.access import Action


@dataclass(frozen=True, slots=True)
class NewDomain:
    """A domain of ours."""

    domain: str


@dataclass(frozen=True, slots=True)
class Delimiters:
    """What parts local parts of a domain from their detail."""

    domain: str
    delimiters: str


@dataclass(frozen=True, slots=True)
class CatchAll:
    """Who takes what nobody else in a domain does."""

    domain: str
    address: str


@dataclass(frozen=True, slots=True)
class NewRoute:
    """Where mail for a domain outside goes."""

    domain: str
    hops: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NewRelay:
    """Where mail of a sender goes: an address, ``@domain``, or ``<>``."""

    sender: str
    hops: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NewNetwork:
    """Clients that may relay, or may not."""

    network: str
    relay: bool = True


@dataclass(frozen=True, slots=True)
class NewAlias:
    """An address that stands for others."""

    address: str
    targets: tuple[str, ...]
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class NewAccess:
    """An entry of an allow and deny list."""

    kind: Kind
    key: str
    action: Action
    text: str = ""
    score: float = 0.0


Change: TypeAlias = (
    NewDomain
    | Delimiters
    | CatchAll
    | NewRoute
    | NewRelay
    | NewNetwork
    | NewAlias
    | NewAccess
    | Entry
)


@dataclass(frozen=True, slots=True)
class Left:
    """A line that is not taken.

    Attributes:
        where: File and line.
        text: The line, or what of it.
        reason: In words, with what to do instead where there is something.
    """

    where: str
    text: str
    reason: str


@dataclass(slots=True)
class Findings:
    """What was found in all files."""

    changes: list[Change] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)

    def take(self, change: Change) -> None:
        """Note a change, once."""
        if change not in self.changes[-1:]:
            self.changes.append(change)

    def leave(self, where: str, text: str, reason: str) -> None:
        """Note what is not taken."""
        self.left.append(Left(where, text, reason))

    def enter(self, where: str, kind: str, key: str, targets: Sequence[str]) -> None:
        """Note an entry of a map, or why it is none."""
        try:
            self.take(entry_of(kind, key, targets))
        except BadEntry as wrong:
            self.leave(where, f"{key} {', '.join(targets)}", str(wrong))
