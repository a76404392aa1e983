"""Filing one message for each of its recipients into folders of this machine.

The octets are fetched once, into a file without a name, in the form that the folders want; then one
thread at a time writes them for one recipient after the other. Whatever the operating system
refuses makes the recipient wait: a full disk, a quota, a folder that is not there (it may be of a
file system that is not mounted). So does what hangs: a thread that comes to its end after all has
filed it, and the next attempt finds that. Only an address that can be no name bounces.
"""

from __future__ import annotations

import asyncio
import errno
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from delivery_remote.folders.dot_lock import Locked
from delivery_remote.folders.lines import UnixLines
from delivery_remote.folders.maildir import Maildir
from delivery_remote.folders.mbox import BESIDE_OCTETS, Mbox
from delivery_remote.folders.names import NoFolder, from_line, parts_of, prefix_of
from delivery_remote.handover import Said
from delivery_remote.octets import Octets
from delivery_remote.trouble import Later, Never, Taken, Verdict
from posthouse.mail.address import BadAddress, parse_address
from posthouse.mail.envelope import InboundRecipient, Remote
from posthouse.mail.hops import Hop, Kind
from posthouse.mail.status import Status
from posthouse.storage.ledger import Claim
from posthouse.telemetry.logs import get_logger

WRITERS = 4  # at once in one process; one that hangs (a file server that is away) stops no more
IN_MEMORY_OCTETS = 1024 * 1024  # a larger message lies on disk while it is filed
MAX_HOST_CHARACTERS = 100  # in the name of a file, which may have 255
LOCK_TRIES = 20
LOCK_PAUSE_SECONDS = 0.5  # nobody tells when a lock is free
# For one message and all its recipients: the broker takes back after 30 minutes what nobody ends.
PATIENCE = timedelta(minutes=10)
FORGETTING = timedelta(minutes=1)

NO_ROOT = Later(Status(451, (4, 3, 5)), "no root of folders is set (POSTHOUSE_REMOTE_FOLDERS)")
LOCKED = Later(Status(451, (4, 2, 0)), "the mailbox is locked")  # RFC 3463 §3.3
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

log = get_logger()


class Place(Protocol):
    """A `Maildir` or an `Mbox`."""

    def file(self, key: str, prefix: bytes, body: BinaryIO) -> None:
        """File a message, durably and once."""

    def forget(self, key: str) -> None:
        """Remove what tells of a second time."""


@dataclass(slots=True)
class Filed:
    """What became of one message.

    Attributes:
        results: For each recipient.
        marks: Where it was filed, and under which key: what tells of a second time.
    """

    results: dict[int, Said] = field(default_factory=dict)
    marks: list[tuple[Place, str]] = field(default_factory=list)


class Filing:
    """Files messages below ``root``, nowhere if there is none; a context manager."""

    def __init__(self, root: Path | None, hostname: str) -> None:
        self._root = root
        self._host = hostname
        self._threads = ThreadPoolExecutor(WRITERS, "folders")

    def __enter__(self) -> Filing:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def file(self, envelope: Remote, hop: Hop, octets: Octets, claim: Claim) -> Filed:
        """File the message for all recipients of ``envelope``; settle, then `forget` it.

        Raises:
            MailFailure: The octets cannot be had, or the claim is lost.
        """
        filed = Filed()
        if self._root is None:
            filed.results = {each.n: Said(NO_ROOT) for each in envelope.recipients}
            return filed
        with tempfile.SpooledTemporaryFile(IN_MEMORY_OCTETS) as spool:
            until = time.monotonic() + PATIENCE.total_seconds()
            job = _Job(self._root, envelope, hop, cast(BinaryIO, spool), self._host, until)
            try:
                await self._fetch(octets, job)
            except OSError as trouble:
                filed.results = {each.n: Said(_meant(trouble)) for each in envelope.recipients}
                return filed
            for recipient in envelope.recipients:
                await claim.confirm()
                verdict = await self._one(recipient, job, filed)
                filed.results[recipient.n] = Said(
                    verdict, f"{hop.kind.value}:{hop.path}", is_final=True
                )
        return filed

    async def forget(self, filed: Filed) -> None:
        """The ledger has the results."""
        until = time.monotonic() + FORGETTING.total_seconds()
        for place, key in filed.marks:
            try:
                await self._in_thread(partial(place.forget, key), until)
            except OSError as trouble:
                log.warning("mark of a filed mail left behind", key=key, reason=str(trouble))

    async def _fetch(self, octets: Octets, job: _Job) -> None:
        lines = UnixLines(quotes_from=job.hop.kind is Kind.MBOX)
        async for piece in octets.pieces():
            await self._in_thread(partial(job.body.write, lines.feed(piece)), job.until)
        await self._in_thread(partial(job.body.write, lines.finish()), job.until)

    async def _one(self, recipient: InboundRecipient, job: _Job, filed: Filed) -> Verdict:
        try:
            place, key, prefix = job.place_of(recipient)
        except (NoFolder, BadAddress) as wrong:
            return Never(Status(553, (5, 1, 3)), str(wrong))  # RFC 3463 §3.2
        for _ in range(LOCK_TRIES):
            try:
                await self._in_thread(partial(place.file, key, prefix, job.body), job.until)
            except Locked:
                await asyncio.sleep(LOCK_PAUSE_SECONDS)
            except OSError as trouble:
                return _meant(trouble)
            else:
                filed.marks.append((place, key))
                return Taken(f"250 2.0.0 filed as {key}")
        return LOCKED

    async def _in_thread(self, work: Callable[[], object], until: float) -> None:
        """Do ``work``; raise `TimeoutError`, an `OSError`, if it takes longer than ``until``."""
        async with asyncio.timeout(until - time.monotonic()):
            await asyncio.get_running_loop().run_in_executor(self._threads, work)


@dataclass(frozen=True, slots=True)
class _Job:
    """One message on its way into folders."""

    root: Path
    envelope: Remote
    hop: Hop
    body: BinaryIO
    host: str
    until: float

    def place_of(self, recipient: InboundRecipient) -> tuple[Place, str, bytes]:
        """Return where the recipient's mail goes, under which key, and what stands before it."""
        address = parse_address(recipient.address)
        beside = BESIDE_OCTETS if self.hop.kind is Kind.MBOX else 0
        parts = parts_of(self.hop.path, address, beside)
        prefix = prefix_of(self.envelope.sender, recipient.address)
        key = f"{self.envelope.id.hex}R{recipient.n}"
        if self.hop.kind is Kind.MBOX:
            line = from_line(self.envelope.sender, self.envelope.arrived)
            return Mbox(self.root, parts, create=self.hop.create), key, line + prefix
        size = len(prefix) + self.body.seek(0, os.SEEK_END)
        host = self.host[:MAX_HOST_CHARACTERS].replace("/", "\\057").replace(":", "\\072")
        name = f"{int(self.envelope.arrived.timestamp())}.I{key}.{host},S={size}"
        return Maildir(self.root, parts, create=self.hop.create), name, prefix


def _meant(trouble: OSError) -> Later:
    """Return what a refusal of the operating system means; the path stays with us."""
    why = os.strerror(trouble.errno) if trouble.errno else type(trouble).__name__
    log.warning("nothing filed", reason=str(trouble) or why)
    if trouble.errno in _FULL:
        return Later(Status(452, (4, 2, 2)), f"the mailbox is full: {why}")  # RFC 3463 §3.3
    return Later(Status(451, (4, 2, 0)), f"the mailbox cannot be written: {why}")
