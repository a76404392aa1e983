"""A POP3 gateway in this process, on a real PostgreSQL and a real directory store."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from onemachine.certificates import certificates
from pop3_gateway.house import House, Limits
from pop3_gateway.leases import Leases
from pop3_gateway.listener import Listener, Place
from pop3_gateway.maildrops import Maildrops
from posthouse.blobs import Blobs, open_blobs
from posthouse.credentials.passwords import hash_for_import
from posthouse.mail.envelope import MailboxChanged
from posthouse.mail.ids import object_key
from posthouse.mime import scan
from posthouse.runtime.doorstep import Manners
from posthouse.runtime.logins import open_authenticator
from posthouse.storage import directory
from posthouse.storage.filing import file
from posthouse.storage.pool import Pool
from support.filings import accepted, add_accounts
from support.logins import LOGINS

PASSWORD = "secret with spaces"  # noqa: S105 - of accounts that live for one test
LIMITS = Limits(login_delay=timedelta(milliseconds=1), farewell=timedelta(milliseconds=300))


@dataclass(slots=True)
class Desk:
    """What the gateway told others."""

    changes: list[MailboxChanged] = field(default_factory=list)
    notes: list[tuple[UUID, str]] = field(default_factory=list)

    async def notify(self, changes: Sequence[MailboxChanged]) -> None:
        self.changes += changes

    def note(
        self,
        envelope_id: UUID,
        what: str,
        *,
        recipient: int | None = None,  # noqa: ARG002 - the port's signature
        detail: str = "",  # noqa: ARG002 - the port's signature
    ) -> None:
        self.notes.append((envelope_id, what))


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A gateway that listens.

    Attributes:
        listener: The part under test.
        blobs: The store.
        desk: What it told others.
        trust: A context for its clients.
        pool: PostgreSQL.
    """

    listener: Listener
    blobs: Blobs
    desk: Desk
    trust: ssl.SSLContext
    pool: Pool

    async def connect(
        self, *, tls: bool = False
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the plaintext door or to the TLS door."""
        host, port = self.listener.addresses[int(tls)]
        if not tls:
            return await asyncio.open_connection(host, port)
        return await asyncio.open_connection(
            host, port, ssl=self.trust, server_hostname="localhost"
        )

    async def deliver(self, account: int, *letters: bytes) -> list[UUID]:
        """Put ``letters`` into the INBOX and return their ids."""
        ids = []
        for letter in letters:
            [filing] = await accepted(self.pool, account)
            await self.blobs.put(object_key(filing.id), letter)
            await file(self.pool, [replace(filing, size=len(letter), summary=scan(letter))])
            ids.append(filing.id)
        return ids


@asynccontextmanager
async def gateway(
    pool: Pool,
    folder: Path,
    *,
    limits: Limits = LIMITS,
    is_plaintext_allowed: bool = True,
    grace: timedelta = timedelta(seconds=5),
) -> AsyncIterator[Gateway]:
    """Listen on two free ports, plaintext and TLS."""
    files = certificates(folder / "tls", ("localhost",))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.chain, files.key)
    desk, leases = Desk(), Leases(pool)
    async with (
        open_blobs(f"disk:{folder}/objects") as blobs,
        open_authenticator(LOGINS, pool) as authenticator,
    ):
        house = House(
            maildrops=Maildrops(pool=pool, blobs=blobs, leases=leases, notices=desk, notes=desk),
            authenticator=authenticator,
            certificate=context,
            is_plaintext_allowed=is_plaintext_allowed,
            limits=limits,
        )
        listener = Listener(house)
        doors = [
            Place(host="127.0.0.1", port=0),
            Place(host="127.0.0.1", port=0, manners=Manners(context=context)),
        ]
        keeping = asyncio.create_task(leases.keep())
        async with listener.listening(doors, grace):
            yield Gateway(
                listener=listener,
                blobs=blobs,
                desk=desk,
                trust=ssl.create_default_context(cafile=str(files.authority)),
                pool=pool,
            )
        keeping.cancel()


async def add_reader(pool: Pool, name: str = "anna") -> int:
    """Make an account that can log in with `PASSWORD`; return its id."""
    account = (await add_accounts(pool, name))[name]
    hashed = await asyncio.to_thread(hash_for_import, PASSWORD)
    await directory.set_password(pool, f"{name}@example.test", hashed)
    return account
