"""Objects in any S3-compatible store; the only door to obstore.

Requests are tried again by the library, within the deadline, which grows with the size of the
object; then `Unavailable`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from posthouse.blobs.port import (
    CHECK_KEY,
    SLOWEST_OCTETS_PER_SECOND,
    StoredObject,
    checked_key,
    checked_prefix,
)
from posthouse.blobs.turns import Turns
from posthouse.mail.errors import MissingObject, Unavailable

RETRIES = 3
DELETED_AT_ONCE = 1000  # the S3 API's limit
LISTED_AT_ONCE = 1000
READS_AT_ONCE = 16  # of those that are asked for together
PART_OCTETS = 5 * 1024 * 1024  # of an upload in parts; the S3 API takes no smaller ones
PARTS_AT_ONCE = 2  # of one upload
UPLOADS_AT_ONCE = 4  # of files; all parts of these are in memory: 40 MiB
_FIRST_BACKOFF = timedelta(milliseconds=50)
_LONGEST_BACKOFF = timedelta(seconds=1)
_CONNECT = timedelta(seconds=2)
_NO_BUCKET = "NoSuchBucket"  # also a 404, but no missing object
_BEYOND_END = "416 Range Not Satisfiable"  # RFC 9110 §15.5.17: it begins after the object's end

if TYPE_CHECKING:
    from obstore.store import S3Config  # exists for type checkers only

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Where the objects are.

    Attributes:
        name: The bucket.
        endpoint: URL of the store; None for AWS.
        region: Its region; None leaves it to the environment.
        access_key: Who we are; None leaves it to the environment (instance roles).
        secret_key: The proof.
    """

    name: str
    endpoint: str | None = None
    region: str | None = None
    access_key: str | None = None
    secret_key: str | None = None


class S3Blobs:
    """Implements `posthouse.blobs.port.Blobs` in a bucket; made by `open_s3`."""

    def __init__(self, store: S3Store, deadline: timedelta) -> None:
        self.nearby: Path | None = None
        self._store = store
        self._deadline = deadline
        self._turns = Turns(UPLOADS_AT_ONCE, deadline)
        self._begun: set[asyncio.Future[None]] = set()

    async def put(self, key: str, octets: bytes) -> None:
        """See `posthouse.blobs.port.Blobs.put`."""
        work = obstore.put_async(self._store, checked_key(key), octets, use_multipart=False)
        await self._in_time(work, key, len(octets))

    def begin(self, key: str, octets: bytes) -> asyncio.Future[None]:
        """See `posthouse.blobs.port.Blobs.begin`."""
        begun = asyncio.get_running_loop().create_task(self.put(checked_key(key), octets))
        self._begun.add(begun)
        begun.add_done_callback(self._over)
        return begun

    async def put_file(self, key: str, descriptor: int) -> None:
        """See `posthouse.blobs.port.Blobs.put_file`."""
        checked_key(key)
        own = os.dup(descriptor)
        try:
            size = os.fstat(own).st_size
            async with self._turns.turn(size):
                with _named_trouble(key):
                    await obstore.put_async(
                        self._store,
                        key,
                        Path(f"/proc/self/fd/{own}"),  # read by the library, in its own threads
                        use_multipart=size > PART_OCTETS,
                        chunk_size=PART_OCTETS,
                        max_concurrency=PARTS_AT_ONCE,
                    )
        finally:
            os.close(own)

    async def get(self, key: str) -> bytes:
        """See `posthouse.blobs.port.Blobs.get`."""
        found = await self._in_time(obstore.get_async(self._store, checked_key(key)), key)
        return bytes(await self._in_time(found.bytes_async(), key, found.meta["size"]))

    async def get_range(self, key: str, start: int, end: int) -> bytes:
        """See `posthouse.blobs.port.Blobs.get_range`."""
        if start >= end:
            return b""
        work = obstore.get_range_async(self._store, checked_key(key), start=start, end=end)
        try:
            return bytes(await self._in_time(work, key, end - start))
        except Unavailable as refused:
            if _BEYOND_END in str(refused):
                return b""
            raise

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """See `posthouse.blobs.port.Blobs.get_many`."""
        gate = asyncio.Semaphore(READS_AT_ONCE)

        async def one(key: str) -> bytes | None:
            async with gate:
                try:
                    return await self.get(key)
                except MissingObject:
                    return None

        return await asyncio.gather(*map(one, keys))

    async def delete(self, keys: Sequence[str]) -> None:
        """See `posthouse.blobs.port.Blobs.delete`."""
        wanted = [checked_key(key) for key in keys]
        for start in range(0, len(wanted), DELETED_AT_ONCE):
            portion = wanted[start : start + DELETED_AT_ONCE]
            try:
                await self._in_time(obstore.delete_async(self._store, portion), "")
            except MissingObject:
                continue

    async def list(self, prefix: str = "") -> AsyncIterator[StoredObject]:
        """See `posthouse.blobs.port.Blobs.list`."""
        pages = obstore.list(
            self._store, prefix=checked_prefix(prefix) or None, chunk_size=LISTED_AT_ONCE
        )
        while page := await self._in_time(anext(pages, []), prefix):
            for meta in page:
                yield StoredObject(
                    key=meta["path"], size=meta["size"], stored_at=meta["last_modified"]
                )

    async def check(self) -> None:
        """See `posthouse.blobs.port.Blobs.check`."""
        await self.put(CHECK_KEY, b"")

    async def finish(self) -> None:
        """Wait for what was begun and nobody waits for."""
        await asyncio.gather(*self._begun, return_exceptions=True)

    def _over(self, begun: asyncio.Future[None]) -> None:
        self._begun.discard(begun)
        if not begun.cancelled():
            begun.exception()  # seen, even if nobody waits for it any more

    async def _in_time(self, work: Awaitable[T], key: str, octets: int = 0) -> T:
        seconds = self._deadline.total_seconds() + octets / SLOWEST_OCTETS_PER_SECOND
        with _named_trouble(key):
            async with asyncio.timeout(seconds):
                return await work


@contextmanager
def _named_trouble(key: str) -> Iterator[None]:
    """Raise `MissingObject` for an object that is not there, `Unavailable` for what else fails."""
    try:
        yield
    except FileNotFoundError as missing:
        if _NO_BUCKET in str(missing):
            raise _unavailable(missing) from missing
        raise MissingObject("message is not in the store", detail=f"no object {key}") from missing
    except (BaseError, OSError, TimeoutError) as trouble:
        raise _unavailable(trouble) from trouble


def _unavailable(trouble: Exception) -> Unavailable:
    first_line = str(trouble).partition("\n")[0]
    detail = f"S3: {type(trouble).__name__}: {first_line}"
    return Unavailable("object store is not available", detail=detail)


@asynccontextmanager
async def open_s3(bucket: Bucket, deadline: timedelta) -> AsyncIterator[S3Blobs]:
    """Open the store; it need not answer now."""
    config: S3Config = {}
    if bucket.endpoint:
        config["endpoint"] = bucket.endpoint
    if bucket.region:
        config["region"] = bucket.region
    if bucket.access_key and bucket.secret_key:
        config["access_key_id"] = bucket.access_key
        config["secret_access_key"] = bucket.secret_key
    store = S3Store(
        bucket.name,
        config=config,
        client_options={
            "allow_http": True,
            "connect_timeout": min(_CONNECT, deadline),
            "read_timeout": deadline,
        },
        retry_config={
            "max_retries": RETRIES,
            "retry_timeout": deadline,
            "backoff": {
                "init_backoff": _FIRST_BACKOFF,
                "max_backoff": _LONGEST_BACKOFF,
                "base": 2,
            },
        },
    )
    blobs = S3Blobs(store, deadline)
    try:
        yield blobs
    finally:
        await blobs.finish()
