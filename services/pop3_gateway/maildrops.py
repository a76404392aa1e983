"""Maildrops and letters: what the sessions need of PostgreSQL, object storage and the bus."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from pop3_gateway.drop import View
from pop3_gateway.leases import Leases
from posthouse.blobs import Blobs
from posthouse.mail.envelope import MailboxChanged
from posthouse.mail.errors import MissingObject
from posthouse.mail.ids import object_key
from posthouse.storage import contents, maildrop
from posthouse.storage.contents import Place
from posthouse.storage.maildrop import Lease
from posthouse.storage.pool import Pool
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

CHUNK_OCTETS = 262_144  # of a message that is read piece by piece
WHOLE_OCTETS = 1_048_576  # up to here a message is read at once


log = get_logger()
_missing = counter(
    "posthouse_pop3_objects_missing_total", "Reads of messages whose object is gone or damaged."
)


class Notices(Protocol):
    """What this room needs of the publisher."""

    async def notify(self, changes: Sequence[MailboxChanged]) -> None:
        """Tell the gateways; never fails."""


class Notes(Protocol):
    """What this room needs of the trace."""

    def note(
        self, envelope_id: UUID, what: str, *, recipient: int | None = None, detail: str = ""
    ) -> None:
        """Write down what the ledger's rows do not tell; never blocks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A maildrop that is ours.

    Attributes:
        lease: The right to it.
        view: Its messages.
    """

    lease: Lease
    view: View


@dataclass(frozen=True, slots=True, kw_only=True)
class Maildrops:
    """See the names.

    Attributes:
        pool: Where mailboxes are.
        blobs: Where octets are.
        leases: The exclusive locks.
        notices: To IMAP sessions that watch the same mailbox.
        notes: The trace.
    """

    pool: Pool
    blobs: Blobs
    leases: Leases
    notices: Notices
    notes: Notes

    async def open(self, account: int) -> Opened:
        """Lock and list a maildrop; raise `InUse` or `Unavailable`."""
        lease = await self.leases.take(account)
        try:
            drop = await maildrop.open_drop(self.pool, account)
        except BaseException:
            await self.leases.give_back(lease)
            raise
        return Opened(lease=lease, view=View(drop))

    async def close(self, opened: Opened) -> None:
        """Give the maildrop back; nothing is removed."""
        await self.leases.give_back(opened.lease)

    def is_ours(self, opened: Opened) -> bool:
        """False once the lock is known to be lost: nothing can be removed any more."""
        return self.leases.is_held(opened.lease)

    async def update(self, opened: Opened) -> int:
        """Remove what is marked, give the maildrop back, and return how many went.

        Raises `LeaseLost` or `Unavailable`, and then nothing went.
        """
        uids = opened.view.marked_uids()
        if not uids:
            await self.close(opened)
            return 0
        mailbox = opened.view.drop.mailbox
        done = await maildrop.delete(self.pool, opened.lease, mailbox, uids)
        self.leases.forget(opened.lease)
        account = opened.lease.account
        await self.notices.notify(
            [MailboxChanged(account=account, mailbox=mailbox, modseq=done.modseq)]
        )
        return len(done.uids)

    async def place(self, opened: Opened, at: int) -> Place:
        """Return where the message at a position is; raise `MissingObject`."""
        content = opened.view.drop.contents[at]
        found = await contents.read_places(self.pool, opened.lease.account, [content])
        if content not in found:
            raise MissingObject("The message is gone", detail=f"content {content}")
        return found[content]

    async def read(self, place: Place) -> AsyncGenerator[bytes, None]:
        """Yield the octets of a message; the first piece comes only when the object is there."""
        if place.size <= WHOLE_OCTETS:
            yield place.prefix + await self._octets(place, 0, place.size)
            return
        yield place.prefix + await self._piece(place, 0)
        for start in range(CHUNK_OCTETS, place.size, CHUNK_OCTETS):
            yield await self._piece(place, start)

    async def top(self, opened: Opened, at: int, lines: int) -> AsyncGenerator[bytes, None]:
        """Yield the header and so many lines of the body."""
        content, account = opened.view.drop.contents[at], opened.lease.account
        header = await contents.read_column(self.pool, account, "header", [content])
        if content not in header:
            raise MissingObject("The message is gone", detail=f"content {content}")
        yield header[content]
        if not lines:
            return
        place = await self.place(opened, at)
        for start in range(place.header_size, place.size, CHUNK_OCTETS):
            piece = await self._piece(place, start)
            end = _end_of_lines(piece, lines)
            yield piece[:end]
            lines -= piece.count(b"\n", 0, end)
            if not lines:
                return

    def note_read(self, place: Place) -> None:
        """Put into the trace of a message that it was read."""
        self.notes.note(place.object_id, "read", detail="POP3")

    async def _piece(self, place: Place, start: int) -> bytes:
        return await self._octets(place, start, min(start + CHUNK_OCTETS, place.size))

    async def _octets(self, place: Place, start: int, end: int) -> bytes:
        """Return octets of the object; tell, count and raise `MissingObject` if it has not all."""
        key = object_key(place.object_id)
        try:
            is_whole = not start and end == place.size
            octets = await (
                self.blobs.get(key) if is_whole else self.blobs.get_range(key, start, end)
            )
            if len(octets) != end - start:
                raise MissingObject("The message is damaged", detail=f"{place.object_id} is short")
        except MissingObject as missing:
            _missing.inc()
            log.error("object missing", message=str(place.object_id), reason=str(missing))  # noqa: TRY400 - no bug of ours
            raise
        return octets


def _end_of_lines(octets: bytes, lines: int) -> int:
    """Return where line number ``lines`` ends, or where ``octets`` do."""
    at = 0
    for _ in range(lines):
        at = octets.find(b"\n", at) + 1
        if not at:
            return len(octets)
    return at
