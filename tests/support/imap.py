"""IMAP gateways in this process, on a real PostgreSQL and a real directory store."""

from __future__ import annotations

import asyncio
import atexit
import re
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

from imap_gateway.handlers import HANDLERS
from imap_gateway.house import House, Limits
from imap_gateway.listener import Listener
from imap_gateway.memory.bodies import Bodies
from imap_gateway.memory.contents import Contents
from imap_gateway.memory.reads import Reads
from imap_gateway.memory.shelf import MAX_OCTETS
from imap_gateway.memory.updates import Updates
from imap_gateway.memory.views import Views
from imap_gateway.training import Training
from onemachine.certificates import Certificates, certificates
from posthouse.blobs import open_blobs
from posthouse.credentials.passwords import hash_for_import
from posthouse.extraction.workshop import open_workshop
from posthouse.mail.envelope import MailboxChanged
from posthouse.mail.ids import object_key
from posthouse.mime import scan
from posthouse.runtime.logins import open_authenticator
from posthouse.runtime.spool import Spool
from posthouse.runtime.tls import ServerCertificate
from posthouse.storage import directory
from posthouse.storage.appending import Appender
from posthouse.storage.filing import Filed, file
from posthouse.storage.pool import Pool
from support.dialogue import play
from support.filings import accepted, add_accounts
from support.logins import LOGINS

PASSWORD = "secret with spaces"  # noqa: S105 - of accounts that live for one test
WORKER_OCTETS = 512 * 1024 * 1024
LIMITS = Limits(message_octets=100_000, login_delay=timedelta(milliseconds=1))
LETTER = b"From: bert@example.test\r\nSubject: hello\r\n\r\nHello, Anna.\r\n"

_LITERAL = re.compile(rb"\{(\d+)\}\r\n\Z")


@dataclass(slots=True)
class Hub:
    """A bus without a broker: notices reach every gateway of the test at once."""

    updates: list[Updates] = field(default_factory=list)
    notices: list[MailboxChanged] = field(default_factory=list)

    async def notify(self, changes: Sequence[MailboxChanged]) -> None:
        self.notices += changes
        for change in changes:
            for one in self.updates:
                one.heard(change)


class User:
    """A client that says lines and hears lines."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._tag = 0

    async def say(self, line: str | bytes) -> list[bytes]:
        """Give a command; return the responses, the tagged one last, literals included."""
        self._tag += 1
        tag = b"t%d" % self._tag
        octets = line.encode() if isinstance(line, str) else line
        self.writer.write(tag + b" " + octets + b"\r\n")
        await self.writer.drain()
        heard: list[bytes] = []
        while not heard or not heard[-1].startswith(tag + b" "):
            heard.append(await self.hear())
        heard[-1] = heard[-1].removeprefix(tag + b" ")
        return heard

    async def hear(self) -> bytes:
        """Return the next response without its line end."""
        async with asyncio.timeout(30):
            octets = await self.reader.readline()
            while literal := _LITERAL.search(octets):
                octets += await self.reader.readexactly(int(literal[1]))
                octets += await self.reader.readline()
        if not octets.endswith(b"\r\n"):
            raise ConnectionResetError(f"cut off: {octets!r}")
        return octets[:-2]

    async def send(self, octets: bytes) -> None:
        """Send octets as they are."""
        self.writer.write(octets)
        await self.writer.drain()

    async def append(self, mailbox: str, message: bytes, more: str = "") -> bytes:
        """APPEND without waiting for a go-ahead; return the tagged answer."""
        head = f"APPEND {mailbox} {more}{{{len(message)}+}}\r\n".encode()
        return (await self.say(head + message))[-1]

    async def login(self, user: str = "anna") -> None:
        """Log in and open INBOX."""
        await self.hear()
        [answer] = await self.say(f'LOGIN {user}@example.test "{PASSWORD}"')
        assert answer.startswith(b"OK"), answer

    def close(self) -> None:
        """Hang up."""
        self.writer.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A gateway that listens.

    Attributes:
        listener: The part under test.
        house: What its sessions share.
        ports: Plaintext and TLS.
        reads: What was noted as read.
        trust: A context for its clients.
        users: Who connected; all hang up in the end.
    """

    listener: Listener
    house: House
    ports: tuple[int, int]
    reads: list[UUID]
    trust: ssl.SSLContext
    users: list[User] = field(default_factory=list)

    async def connect(self, *, tls: bool = False) -> User:
        """Connect to the plaintext door or to the TLS door."""
        name = "localhost" if tls else None
        streams = await asyncio.open_connection(
            "127.0.0.1",
            self.ports[int(tls)],
            ssl=self.trust if tls else None,
            server_hostname=name,
        )
        self.users.append(User(*streams))
        return self.users[-1]

    async def deliver(self, account: int, *letters: bytes) -> list[UUID]:
        """File letters as delivery does, and tell of it; return their ids."""
        ids = []
        for letter in letters:
            [filing] = await accepted(self.house.pool, account)
            await self.house.blobs.put(object_key(filing.id), letter)
            filing = replace(filing, prefix=b"", size=len(letter), summary=scan(letter))
            [filed] = await file(self.house.pool, [filing])
            assert isinstance(filed, Filed)
            self.house.updates.tell(account, filed.mailbox, filed.modseq)
            ids.append(filing.id)
        return ids


@cache
def _files() -> Certificates:
    """Make certificates once for all tests of this process."""
    folder = TemporaryDirectory()
    atexit.register(folder.cleanup)
    return certificates(Path(folder.name), ("localhost",))


@asynccontextmanager
async def gateway(
    pool: Pool,
    folder: Path,
    *,
    limits: Limits = LIMITS,
    hub: Hub | None = None,
    views_octets: int = MAX_OCTETS,
    is_plaintext_allowed: bool = True,
) -> AsyncIterator[Gateway]:
    """Listen on two free ports, plaintext and TLS."""
    files = _files()
    hub = hub or Hub()
    reads: list[UUID] = []
    async with (
        open_blobs(f"disk:{folder}/objects") as blobs,
        open_authenticator(LOGINS, pool) as authenticator,
        Appender(pool) as appender,
        Spool(blobs.nearby) as spool,
        open_workshop(1, patience=timedelta(seconds=20), memory=WORKER_OCTETS) as workshop,
        asyncio.TaskGroup() as tasks,
    ):
        views = Views(pool, asyncio.get_running_loop().time, max_octets=views_octets)
        updates = Updates(pool, views, hub)
        hub.updates.append(updates)
        house = House(
            pool=pool,
            blobs=blobs,
            views=views,
            updates=updates,
            bodies=Bodies(blobs),
            contents=Contents(pool),
            reads=Reads(pool, reads.append),
            authenticator=authenticator,
            appender=appender,
            spool=spool,
            workshop=workshop,
            training=Training(pool, "both"),
            limits=limits,
            is_plaintext_allowed=is_plaintext_allowed,
        )
        certificate = ServerCertificate(files.chain, files.key)
        listener = Listener(house, HANDLERS, certificate, tasks)
        duties = [
            tasks.create_task(duty)
            for duty in (updates.keep_telling(), updates.keep_fresh(), listener.keep_time())
        ]
        ports = (
            await listener.listen("127.0.0.1", 0, tls=False),
            await listener.listen("127.0.0.1", 0, tls=True),
        )
        trust = ssl.create_default_context(cafile=str(files.authority))
        made = Gateway(listener=listener, house=house, ports=ports, reads=reads, trust=trust)
        try:
            yield made
        finally:
            await listener.drain(timedelta(seconds=5))
            for user in made.users:
                user.close()
            for duty in duties:
                duty.cancel()


async def add_reader(pool: Pool, name: str = "anna", quota: int | None = None) -> int:
    """Make an account that can log in with `PASSWORD`; return its id."""
    account = (await add_accounts(pool, name, quota=quota))[name]
    hashed = await asyncio.to_thread(hash_for_import, PASSWORD)
    await directory.set_password(pool, f"{name}@example.test", hashed)
    return account


async def play_together(script: str, users: Sequence[User], **words: str) -> None:
    """Play a conversation of several: ``C2: text`` is said by the second user, ``S2:`` told to it.

    Lines without a number are the first user's. See `support.dialogue` for the rest.
    """
    for number, line in enumerate(script.splitlines(), 1):
        found = re.match(r"([CS])(\d?)([:!*]) ?(.*)", line)
        if found is None:
            assert not line.strip() or line.startswith("#"), f"line {number}: {line!r}"
            continue
        user = users[int(found[2] or 1) - 1]
        one = f"{found[1]}{found[3]} {found[4]}"
        try:
            await play(one, user.reader, user.writer, tls=None, **words)
        except AssertionError as fault:
            raise AssertionError(f"line {number}: {line!r}: {fault}") from fault


async def check_sums(pool: Pool, account: int) -> None:
    """The mailboxes' counters are what their messages say."""
    rows = await pool.fetch(_SUMS, account)
    wrong = [
        dict(row) for row in rows if row["exists_"] != row["many"] or row["octets"] != row["weight"]
    ]
    assert wrong == []
    assert all(row["highest"] <= row["modseq"] for row in rows)
    assert all(row["last"] < row["uidnext"] for row in rows)


_SUMS = """
    select b.name, b.exists_, b.octets, b.modseq, b.uidnext, count(m.uid) as many,
           coalesce(sum(m.size), 0) as weight, coalesce(max(m.modseq), 0) as highest,
           coalesce(max(m.uid), 0) as last
      from mailboxes b left join messages m using (account_id, mailbox_id)
     where b.account_id = $1 group by b.account_id, b.mailbox_id
"""
