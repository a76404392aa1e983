"""From the setting POSTHOUSE_STORE to an open store.

    disk:/var/lib/posthouse/objects
    s3://bucket?endpoint=https://s3.example.net&region=eu-1&timeout=5

``timeout`` (seconds) is the deadline after which a store that does not answer is `Unavailable`.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from posthouse.blobs.disk import open_disk
from posthouse.blobs.port import Blobs
from posthouse.blobs.s3 import Bucket, open_s3

DEADLINE = timedelta(seconds=8)
_OPTIONS = {"disk": {"timeout"}, "s3": {"timeout", "endpoint", "region"}}


class BadStore(ValueError):
    """The setting does not name a store; the text says why, in words for an operator."""


@asynccontextmanager
async def open_blobs(
    store: str,
    access_key: str | None = None,
    secret_key: str | None = None,
    *,
    writes_apart: bool = False,
) -> AsyncIterator[Blobs]:
    """Open the store of objects that ``store`` names.

    With ``writes_apart`` a directory is written to by a process of its own: for who has other work
    to do meanwhile. Raises `BadStore`, and `Unavailable` if a directory cannot be made.
    """
    scheme, place, options = parse_store(store)
    deadline = timedelta(seconds=float(options.get("timeout", DEADLINE.total_seconds())))
    if scheme == "disk":
        async with open_disk(Path(place), deadline, writes_apart=writes_apart) as disk:
            yield disk
        return
    bucket = Bucket(
        name=place,
        endpoint=options.get("endpoint"),
        region=options.get("region"),
        access_key=access_key,
        secret_key=secret_key,
    )
    async with open_s3(bucket, deadline) as s3:
        yield s3


def parse_store(store: str) -> tuple[str, str, dict[str, str]]:
    """Return scheme, directory or bucket, and options; raise `BadStore`."""
    parts = urlsplit(store)
    if parts.scheme not in _OPTIONS:
        raise BadStore("a store is disk:/directory or s3://bucket?endpoint=...&region=...")
    place = parts.netloc if parts.scheme == "s3" else parts.path
    if not place or (parts.scheme == "s3" and parts.path.strip("/")):
        raise BadStore(f"a {parts.scheme} store needs a {_PLACE[parts.scheme]}")
    options = dict(parse_qsl(parts.query))
    if unknown := options.keys() - _OPTIONS[parts.scheme]:
        raise BadStore(f"a {parts.scheme} store has no option {', '.join(sorted(unknown))}")
    if not _is_positive(options.get("timeout", "1")):
        raise BadStore("the timeout of a store is a positive number of seconds")
    return parts.scheme, place, options


_PLACE = {"disk": "directory", "s3": "bucket and no path"}


def _is_positive(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False
