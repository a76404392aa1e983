"""delivery-local in this process, on a real PostgreSQL and a real directory store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from delivery_local.deliver import Delivery
from posthouse.blobs import Blobs, open_blobs
from posthouse.mail.envelope import (
    Envelope,
    Inbound,
    InboundRecipient,
    Local,
    LocalRecipient,
    MailboxChanged,
    Summary,
)
from posthouse.mail.ids import new_id, object_key
from posthouse.mail.timetable import Timetable
from posthouse.mime import scan
from posthouse.runtime.bounces import Reporter
from posthouse.storage import ledger
from posthouse.storage.pool import Pool

TIMETABLE = Timetable(
    delays=(timedelta(minutes=5),), warn_after=timedelta(hours=4), give_up=timedelta(days=5)
)


@dataclass(slots=True)
class World:
    """What delivery told others, and what time it is."""

    changes: list[MailboxChanged] = field(default_factory=list)
    published: list[Envelope] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    age: timedelta = timedelta()

    async def notify(self, changes: Sequence[MailboxChanged]) -> None:
        self.changes += changes

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        self.published += envelopes

    def note(
        self,
        envelope_id: UUID,  # noqa: ARG002 - the port's signature
        what: str,
        *,
        recipient: int | None = None,  # noqa: ARG002 - the port's signature
        detail: str = "",
    ) -> None:
        self.notes.append(f"{what}: {detail}")

    def now(self) -> datetime:
        return datetime.now(UTC) + self.age


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """The part under test, and all around it."""

    delivery: Delivery
    world: World
    blobs: Blobs
    pool: Pool

    async def accept(
        self, letter: bytes, *accounts: int, sender: str = "bert@example.test", scanned: bool = True
    ) -> Local:
        """Store and enter ``letter``; return its envelope for these accounts."""
        return await accept(
            self.pool,
            self.blobs,
            letter,
            accounts,
            sender=sender,
            summary=scan(letter) if scanned else None,
        )


async def accept(
    pool: Pool,
    blobs: Blobs,
    letter: bytes,
    accounts: Sequence[int],
    *,
    sender: str = "bert@example.test",
    summary: Summary | None = None,
) -> Local:
    """Store and enter ``letter``; return its envelope for these accounts."""
    ident = new_id()
    addresses = [f"account{account}@example.test" for account in accounts]
    await blobs.put(object_key(ident), letter)
    inbound = Inbound(
        id=ident,
        sender=sender,
        size=len(letter),
        recipients=tuple(InboundRecipient(n=n, address=a) for n, a in enumerate(addresses)),
    )
    mail = ledger.NewMail(
        id=ident,
        origin="smtp",
        sender=sender,
        size=len(letter),
        recipients=tuple(ledger.NewRecipient(n, a) for n, a in enumerate(addresses)),
        envelope=inbound,
    )
    await ledger.enter(pool, [mail])
    return Local(
        id=ident,
        sender=sender,
        size=len(letter),
        recipients=tuple(
            LocalRecipient(n=n, address=address, account=account)
            for n, (address, account) in enumerate(zip(addresses, accounts, strict=True))
        ),
        summary=summary,
    )


@asynccontextmanager
async def station(pool: Pool, folder: Path) -> AsyncIterator[Station]:
    """Build the handler of the road ``mail.local``."""
    world = World()
    async with open_blobs(f"disk:{folder}/objects") as blobs:
        delivery = Delivery(
            pool=pool,
            reporter=Reporter(blobs=blobs, hostname="mx.example.test", double_bounce_address=""),
            timetable=TIMETABLE,
            bounce_timetable=Timetable(
                delays=TIMETABLE.delays, warn_after=None, give_up=timedelta(days=1)
            ),
            notices=world,
            outbox=world,
            notes=world,
            now=world.now,
        )
        yield Station(delivery=delivery, world=world, blobs=blobs, pool=pool)
