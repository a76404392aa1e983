"""Reports that go as mail: stored, ready for the ledger; from there our usual way."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from posthouse.blobs import Blobs
from posthouse.mail.envelope import MAX_SUMMARY_OCTETS, Inbound, InboundRecipient
from posthouse.mime import scan
from posthouse.storage.ledger import NewMail, NewRecipient


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A report as mail.

    Attributes:
        id: The message's.
        sender: Its reverse path, and its author.
        to: Its recipients.
        message_id: Its Message-ID.
        octets: All of it, signed.
    """

    id: UUID
    sender: str
    to: tuple[str, ...]
    message_id: str
    octets: bytes


async def stored_letter(blobs: Blobs, letter: Letter) -> NewMail:
    """Store ``letter``; raise `Unavailable`."""
    octets, to = letter.octets, letter.to
    summary = scan(octets)
    envelope = Inbound(
        id=letter.id,
        sender=letter.sender,
        size=len(octets),
        recipients=tuple(InboundRecipient(n=n, address=each) for n, each in enumerate(to)),
        summary=summary if summary.octets <= MAX_SUMMARY_OCTETS else None,
    )
    await blobs.put(envelope.blob, octets)
    return NewMail(
        id=letter.id,
        origin="report",
        sender=letter.sender,
        size=len(octets),
        message_id=letter.message_id,
        recipients=tuple(NewRecipient(n=n, address=each) for n, each in enumerate(to)),
        envelope=envelope,
    )
