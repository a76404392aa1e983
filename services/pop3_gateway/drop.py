"""A maildrop within one session: numbers, sizes, marks of deletion (RFC 1939 §5, §7). Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from posthouse.storage.maildrop import Drop


class NoSuchMessage(Exception):
    """There is no message of this number, or it is marked as deleted."""


@dataclass(slots=True)
class View:
    """What the session sees.

    Attributes:
        drop: As it stood when it was opened; it does not change under the session.
        deleted: Positions that are marked; see `mark`.
    """

    drop: Drop
    deleted: set[int] = field(default_factory=set)
    _deleted_octets: int = 0

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
        return len(self.drop.uids) - len(self.deleted), self.drop.octets - self._deleted_octets

    def mark(self, number: int) -> None:
        """Mark message ``number`` as deleted; raise `NoSuchMessage`."""
        at = self.at(number)
        self.deleted.add(at)
        self._deleted_octets += self.drop.sizes[at]

    def unmark_all(self) -> None:
        """Take all marks back."""
        self.deleted.clear()
        self._deleted_octets = 0

    def listing(self, at: int) -> bytes:
        """Return the scan listing of one message."""
        return b"%d %d" % (at + 1, self.drop.sizes[at])

    def unique_id(self, at: int, brought: Mapping[int, str]) -> bytes:
        """Return the unique-id listing of one message: it never changes and never comes again.

        Args:
            at: Its position.
            brought: The ids that messages have from another server, by UID.
        """
        uid = self.drop.uids[at]
        known = brought.get(uid)
        if known is not None:
            return b"%d %b" % (at + 1, known.encode())
        return b"%d %d.%d" % (at + 1, self.drop.uidvalidity, uid)

    def marked_uids(self) -> list[int]:
        """Return the UIDs of what is to be removed, ascending; of a million it takes a while."""
        deleted = self.deleted
        return [uid for at, uid in enumerate(self.drop.uids) if at in deleted]
