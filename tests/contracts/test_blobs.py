"""Every store of objects keeps the same promises; the drivers run the same suite."""

from __future__ import annotations

import asyncio
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from posthouse.blobs import Blobs, open_blobs
from posthouse.mail.errors import MissingObject
from posthouse.mail.ids import new_id, object_key
from support.servers import S3Store

pytestmark = pytest.mark.integration

LARGE_OCTETS = 6 * 1024 * 1024  # more than one page, more than one part


@pytest.fixture(params=["disk", "disk, written to apart", "s3"])
async def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Blobs]:
    if request.param != "s3":
        is_apart = request.param != "disk"
        async with open_blobs(f"disk:{tmp_path}/objects", writes_apart=is_apart) as disk:
            yield disk
        return
    store: S3Store = request.getfixturevalue("s3_store")
    async with open_blobs(store.store, store.access_key, store.secret_key) as s3:
        yield s3


async def listed(blobs: Blobs, prefix: str = "") -> dict[str, int]:
    return {found.key: found.size async for found in blobs.list(prefix)}


@pytest.mark.parametrize("size", [0, 1, 4096, 262_145, LARGE_OCTETS])
async def test_what_was_put_is_got(blobs: Blobs, size: int) -> None:
    key, octets = object_key(new_id()), secrets.token_bytes(size)

    await blobs.put(key, octets)

    assert await blobs.get(key) == octets


async def test_what_was_begun_goes_on_whether_somebody_waits_or_not(blobs: Blobs) -> None:
    keys = [object_key(new_id()) for _ in range(10)]

    begun = [blobs.begin(key, key.encode()) for key in keys]
    begun[0].cancel()
    for one in begun[2:]:
        await one

    assert await blobs.get_many(keys[2:]) == [key.encode() for key in keys[2:]]


@contextmanager
def nameless(folder: Path | None, octets: bytes) -> Iterator[int]:
    """Yield the descriptor of a file that has no name and holds ``octets``."""
    flags = os.O_TMPFILE | os.O_RDWR
    descriptor = os.open(folder or tempfile.gettempdir(), flags, 0o600)
    try:
        assert os.write(descriptor, octets) == len(octets)
        yield descriptor
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("place", ["nearby", "elsewhere"])
@pytest.mark.parametrize("size", [0, 1, 262_145, 3 * LARGE_OCTETS + 1])
async def test_what_a_file_holds_is_got(blobs: Blobs, size: int, place: str) -> None:
    folder = blobs.nearby if place == "nearby" else Path("/dev/shm")  # noqa: S108 - another file system
    key, octets = object_key(new_id()), secrets.token_bytes(size)

    with nameless(folder, octets) as descriptor:
        await blobs.put_file(key, descriptor)
        await blobs.put_file(key, descriptor)  # the same again is harmless
        assert os.pread(descriptor, size + 1, 0) == octets  # it is still the caller's

    assert await blobs.get(key) == octets
    assert await listed(blobs) == {key: size}


async def test_many_files_at_once_are_all_stored(blobs: Blobs) -> None:
    objects = {object_key(new_id()): secrets.token_bytes(300_000 + n) for n in range(20)}

    with ExitStack() as stack:
        files = {k: stack.enter_context(nameless(blobs.nearby, o)) for k, o in objects.items()}
        await asyncio.gather(*(blobs.put_file(key, file) for key, file in files.items()))

    assert {key: await blobs.get(key) for key in objects} == objects


async def test_the_same_again_is_harmless(blobs: Blobs) -> None:
    key = object_key(new_id())

    await blobs.put(key, b"Subject: hello\r\n")
    await blobs.put(key, b"Subject: hello\r\n")

    assert await blobs.get(key) == b"Subject: hello\r\n"


async def test_many_at_once_are_all_stored(blobs: Blobs) -> None:
    objects = {object_key(new_id()): secrets.token_bytes(100 + n) for n in range(100)}

    await asyncio.gather(*(blobs.put(key, octets) for key, octets in objects.items()))

    assert {key: await blobs.get(key) for key in objects} == objects


async def test_many_are_got_in_their_order_and_what_is_missing_is_none(blobs: Blobs) -> None:
    objects = {object_key(new_id()): secrets.token_bytes(n * 50) for n in range(150)}
    await asyncio.gather(*(blobs.put(key, octets) for key, octets in objects.items()))
    missing = object_key(new_id())

    keys = [*objects, missing, next(iter(objects))]
    assert await blobs.get_many(keys) == [*objects.values(), None, b""]
    assert await blobs.get_many([]) == []


async def test_what_is_not_there_is_missing(blobs: Blobs) -> None:
    with pytest.raises(MissingObject):
        await blobs.get(object_key(new_id()))
    with pytest.raises(MissingObject):
        await blobs.get_range(object_key(new_id()), 0, 10)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(0, 4, b"0123"), (3, 5, b"34"), (8, 10, b"89"), (8, 99, b"89"), (10, 20, b""), (99, 100, b""),
     (4, 4, b""), (5, 3, b"")],
)  # fmt: skip
async def test_a_range_is_cut_at_the_end_of_the_object(
    blobs: Blobs, start: int, end: int, expected: bytes
) -> None:
    await blobs.put("mail/ten.eml", b"0123456789")

    assert await blobs.get_range("mail/ten.eml", start, end) == expected


async def test_a_range_of_a_large_object_is_that_range(blobs: Blobs) -> None:
    octets = secrets.token_bytes(LARGE_OCTETS)
    await blobs.put("mail/large.eml", octets)

    middle = await blobs.get_range("mail/large.eml", 1_000_000, 3_000_000)

    assert middle == octets[1_000_000:3_000_000]


async def test_a_range_of_an_empty_object_is_empty(blobs: Blobs) -> None:
    await blobs.put("mail/empty.eml", b"")

    assert await blobs.get_range("mail/empty.eml", 0, 10) == b""


async def test_what_was_deleted_is_missing_and_the_rest_stays(blobs: Blobs) -> None:
    for name in ("a", "b", "c"):
        await blobs.put(f"mail/{name}.eml", name.encode())

    await blobs.delete(["mail/a.eml", "mail/never.eml", "mail/c.eml"])
    await blobs.delete(["mail/a.eml"])
    await blobs.delete([])

    assert await listed(blobs) == {"mail/b.eml": 1}
    with pytest.raises(MissingObject):
        await blobs.get("mail/a.eml")


async def test_a_listing_tells_of_everything_in_the_folder_and_below(blobs: Blobs) -> None:
    for key in ("mail/2026/11/21/a.eml", "mail/2026/11/22/b.eml", "mail/2025/x.eml", "other/y"):
        await blobs.put(key, key.encode())

    assert await listed(blobs, "mail/2026/11") == {
        "mail/2026/11/21/a.eml": 21,
        "mail/2026/11/22/b.eml": 21,
    }
    assert await listed(blobs, "mail/2026/11/22/") == {"mail/2026/11/22/b.eml": 21}
    assert len(await listed(blobs)) == 4
    assert await listed(blobs, "mail/20") == {}
    assert await listed(blobs, "nowhere") == {}


async def test_a_listing_of_more_than_a_page_is_whole(blobs: Blobs) -> None:
    keys = [f"mail/{n:05}.eml" for n in range(1050)]
    await asyncio.gather(*(blobs.put(key, b".") for key in keys[:525]))
    await asyncio.gather(*(blobs.put(key, b".") for key in keys[525:]))

    assert sorted(await listed(blobs, "mail")) == keys

    await blobs.delete(keys)
    assert await listed(blobs, "mail") == {}


async def test_a_listing_tells_when_an_object_was_stored(blobs: Blobs) -> None:
    await blobs.put("mail/now.eml", b"x")

    found = [one async for one in blobs.list("mail")]

    assert abs(found[0].stored_at - datetime.now(UTC)) < timedelta(minutes=1)


async def test_a_store_that_works_says_so(blobs: Blobs) -> None:
    await blobs.check()
    await blobs.check()


@pytest.mark.parametrize(
    "key",
    ["", "/etc/passwd", "mail/../../x", "..", "mail//x", "mail/", ".unfinished/x", "a\0b", "ä"],
)
async def test_nothing_but_a_key_is_taken(blobs: Blobs, key: str) -> None:
    with pytest.raises(ValueError, match="not a key"):
        await blobs.put(key, b"")
    with pytest.raises(ValueError, match="not a key"), nameless(blobs.nearby, b"") as descriptor:
        await blobs.put_file(key, descriptor)
    with pytest.raises(ValueError, match="not a key"):
        await blobs.get(key)
    with pytest.raises(ValueError, match="not a key"):
        await blobs.get_range(key, 0, 1)
    with pytest.raises(ValueError, match="not a key"):
        await blobs.delete([key])
