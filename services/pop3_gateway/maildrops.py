"""Maildrops and letters: what the sessions need of PostgreSQL, object storage and the bus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from pop3_gateway.ahead import Ahead
from pop3_gateway.drop import View
from pop3_gateway.leases import Leases
from posthouse.blobs import Blobs
from posthouse.mail.envelope import MailboxChanged
from posthouse.mail.errors import MissingObject
from posthouse.mail.ids import object_key
from posthouse.mime import unpack_parts
from posthouse.mime.parts import Range
from posthouse.mime.surrogates import Surrogate, ascii_header
from posthouse.storage import contents, maildrop
from posthouse.storage.contents import Place
from posthouse.storage.maildrop import Lease
from posthouse.storage.pool import Pool
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

CHUNK_OCTETS = 262_144  # of a message that is read piece by piece
WHOLE_OCTETS = 1_048_576  # up to here a message is read at once
PLACES_AHEAD = 64  # messages; some hundred octets each
HEADERS_AHEAD = 16  # some thousand each

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
        places: Where their octets are.
        headers: With what stands before them for this recipient.
    """

    lease: Lease
    view: View
    places: Ahead[Place]
    headers: Ahead[bytes]


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

        async def places(of: Sequence[int]) -> dict[int, Place]:
            return await contents.read_places_ahead(self.pool, account, of)

        async def headers(of: Sequence[int]) -> dict[int, bytes]:
            return await contents.read_headers_ahead(self.pool, account, of)

        return Opened(
            lease=lease,
            view=View(drop),
            places=Ahead(drop.contents, places, PLACES_AHEAD),
            headers=Ahead(drop.contents, headers, HEADERS_AHEAD),
        )

    async def close(self, opened: Opened) -> None:
        """Give the maildrop back; nothing is removed."""
        await self.leases.give_back(opened.lease)

    def is_ours(self, opened: Opened) -> bool:
        """False once the lock is known to be lost: nothing can be removed any more."""
        return self.leases.is_held(opened.lease)

    async def update(self, opened: Opened) -> int:
        """Remove what is marked, give the maildrop back, and return how many went.

        Raises `LeaseLost` or `Unavailable`, and then nothing went, or the commit was cut off.
        """
        if not opened.view.deleted:
            await self.close(opened)
            return 0
        uids = await asyncio.to_thread(opened.view.marked_uids)
        # Its row is locked from now on: to renew it with the others would hold those up.
        self.leases.forget(opened.lease)
        mailbox, account = opened.view.drop.mailbox, opened.lease.account
        try:
            done = await maildrop.delete(self.pool, opened.lease, mailbox, uids)
        except BaseException:
            await self.leases.release(opened.lease)
            raise
        await self.notices.notify(
            [MailboxChanged(account=account, mailbox=mailbox, modseq=done.modseq)]
        )
        return done.count

    async def unique_ids(self, opened: Opened, positions: Sequence[int]) -> dict[int, str]:
        """Return the ids that messages at ``positions`` brought from another server, by UID."""
        drop = opened.view.drop
        asked = [drop.contents[at] for at in positions]
        return await maildrop.read_uidls(self.pool, opened.lease.account, drop.mailbox, asked)

    async def place(self, opened: Opened, at: int) -> Place:
        """Return where the message at a position is; raise `MissingObject`."""
        found = await opened.places.of(at)
        if found is None:
            raise MissingObject("The message is gone", detail=f"message {at + 1}")
        return found

    async def read_whole(self, place: Place, *, is_utf8: bool) -> bytes:
        """Return the octets of a message that `is_small`; raise `MissingObject`.

        Without ``is_utf8`` they are those of its surrogate, if it needs one (RFC 6858).
        """
        octets = place.prefix + await self._octets(place, 0, place.size)
        if is_utf8 or octets.isascii():
            return octets
        surrogate = Surrogate(_headers(place))
        return surrogate.feed(octets) + surrogate.finish()

    async def read(self, place: Place, *, is_utf8: bool) -> AsyncGenerator[bytes, None]:
        """Yield the same of a large message; the first piece comes only when the object is there."""
        surrogate = None if is_utf8 else Surrogate(_headers(place))
        head = place.prefix
        for start in range(0, place.size, CHUNK_OCTETS):
            end = min(start + CHUNK_OCTETS, place.size)
            piece = head + await self._octets(place, start, end)
            head = b""
            yield surrogate.feed(piece) if surrogate else piece
        if surrogate and (rest := surrogate.finish()):
            yield rest

    async def top(
        self, opened: Opened, at: int, lines: int, *, is_utf8: bool
    ) -> AsyncGenerator[bytes, None]:
        """Yield the header and so many lines of the body, of the surrogate where there is one."""
        header = await opened.headers.of(at)
        if header is None:
            raise MissingObject("The message is gone", detail=f"message {at + 1}")
        yield header if is_utf8 else ascii_header(header)
        if not lines:
            return
        place = await self.place(opened, at)
        body = len(place.prefix) + place.header_size
        surrogate = None if is_utf8 else Surrogate(_headers(place), at=body)
        for start in range(place.header_size, place.size, CHUNK_OCTETS):
            piece = await self._octets(place, start, min(start + CHUNK_OCTETS, place.size))
            piece = surrogate.feed(piece) if surrogate else piece
            end = _end_of_lines(piece, lines)
            yield piece[:end]
            lines -= piece.count(b"\n", 0, end)
            if not lines:
                return
        if surrogate:
            yield surrogate.finish()

    def note_read(self, place: Place) -> None:
        """Put into the trace of a message that it was read."""
        self.notes.note(place.object_id, "read", detail="POP3")

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


def is_small(place: Place) -> bool:
    """Say whether a message is read at once."""
    return place.size <= WHOLE_OCTETS


def _headers(place: Place) -> Iterator[Range]:
    """Return where the headers of a message lie, its prefix counted."""
    prefix = len(place.prefix)
    for part in unpack_parts(place.parts):
        yield (part.start + prefix if part.depth else 0, part.body + prefix)


def _end_of_lines(octets: bytes, lines: int) -> int:
    """Return where line number ``lines`` ends, or where ``octets`` do."""
    at = 0
    for _ in range(lines):
        at = octets.find(b"\n", at) + 1
        if not at:
            return len(octets)
    return at
