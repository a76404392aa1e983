"""The port: what a store of objects does. Objects are written once and never changed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

CHECK_KEY = "check/alive"  # written again and again to see that writing works

_SEGMENT = r"[A-Za-z0-9_][A-Za-z0-9._\-]{0,199}"
_KEY = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")
_MAX_KEY_OCTETS = 900
SLOWEST_OCTETS_PER_SECOND = 1_048_576  # a slower store counts as one that does not answer


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """One object as a listing tells of it.

    Attributes:
        key: Its name.
        size: Octets.
        stored_at: When it was written (UTC, by the store's clock).
    """

    key: str
    size: int
    stored_at: datetime


class Blobs(Protocol):
    """A store of objects. Every method raises `Unavailable` when the store does not answer."""

    @property
    def nearby(self) -> Path | None:
        """A folder whose nameless files become objects without being copied, if there is one."""
        ...

    async def put(self, key: str, octets: bytes) -> None:
        """Store ``octets``; they are durable when this returns. The same again is harmless."""
        ...

    def begin(self, key: str, octets: bytes) -> asyncio.Future[None]:
        """Begin to `put`, and return what tells of its end; the caller may do other work first.

        Who does not want the object any more need not wait for that.
        """
        ...

    async def put_file(self, key: str, descriptor: int) -> None:
        """Store all that the open file holds, in bounded memory; else like `put`.

        Nobody may write to the file any more: it may become the object itself. The caller closes
        it, whenever he likes.
        """
        ...

    async def get(self, key: str) -> bytes:
        """Return the octets; raise `MissingObject`."""
        ...

    async def get_range(self, key: str, start: int, end: int) -> bytes:
        """Return the octets from ``start`` up to before ``end``, fewer where the object ends.

        Raises `MissingObject`.
        """
        ...

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the octets of small objects in the order of ``keys``, None for what is missing."""
        ...

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove these objects; those that are not there are removed already."""
        ...

    def list(self, prefix: str = "") -> AsyncIterator[StoredObject]:
        """Yield what lies in the folder ``prefix`` and below (all if empty), in no promised order."""
        ...

    async def check(self) -> None:
        """Write something; return if that worked."""
        ...


def checked_key(key: str) -> str:
    """Return ``key``; raise `ValueError` if it is none, so that none can leave the store."""
    if len(key) > _MAX_KEY_OCTETS or _KEY.fullmatch(key) is None:
        raise ValueError(f"not a key: {key!r}")
    return key


def checked_prefix(prefix: str) -> str:
    """Return the folder ``prefix`` without a slash at its end; raise `ValueError` as above."""
    folder = prefix.rstrip("/")
    return checked_key(folder) if folder else ""
