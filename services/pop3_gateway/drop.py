"""A maildrop within one session: numbers, sizes, marks of deletion (RFC 1939 §5, §7). Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from posthouse.storage.maildrop import Drop


class NoSuchMessage(Exception):
    """There is no message of this number, or it is marked as deleted."""


@dataclass(slots=True)
class View:
    """What the session sees.

    Attributes:
        drop: As it stood when it was opened; it does not change under the session.
        deleted: Positions that are marked.
    """

    drop: Drop
    deleted: set[int] = field(default_factory=set)

    def at(self, number: int) -> int:
        """Return the position of message ``number`` (1 is the first); raise `NoSuchMessage`."""
        position = number - 1
        if not 0 <= position < len(self.drop.uids) or position in self.deleted:
            raise NoSuchMessage
        return position

    def positions(self) -> Iterator[int]:
        """Return the positions of all that is not marked."""
        return (at for at in range(len(self.drop.uids)) if at not in self.deleted)

    def stat(self) -> tuple[int, int]:
        """Return how many messages there are and how many octets (RFC 1939 §5)."""
        octets = sum(self.drop.sizes) - sum(self.drop.sizes[at] for at in self.deleted)
        return len(self.drop.uids) - len(self.deleted), octets

    def listing(self, at: int) -> bytes:
        """Return the scan listing of one message."""
        return b"%d %d" % (at + 1, self.drop.sizes[at])

    def unique_id(self, at: int) -> bytes:
        """Return the unique-id listing of one message: it never changes and never comes again."""
        return b"%d %d.%d" % (at + 1, self.drop.uidvalidity, self.drop.uids[at])

    def marked_uids(self) -> list[int]:
        """Return the UIDs of what is to be removed."""
        return sorted(self.drop.uids[at] for at in self.deleted)
