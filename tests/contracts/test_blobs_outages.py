"""A store that is away says so within seconds and never hangs; a fault stays with its object."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from posthouse.blobs import Blobs, open_blobs
from posthouse.durable.files import JOURNALED_OCTETS
from posthouse.durable.journal import HALF_OCTETS
from posthouse.mail.errors import MissingObject, Unavailable
from support.servers import S3Store

TIMEOUT_SECONDS = 1.0
PATIENCE_SECONDS = 6.0
KEYS = {"access_key": "key", "secret_key": "word"}


@asynccontextmanager
async def server(answer: bytes | None) -> AsyncIterator[str]:
    """A server that gives ``answer`` to everything, or none at all; yields its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.read(65_536):
                if answer is not None:
                    writer.write(answer)
                    await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        listening.close()


@asynccontextmanager
async def s3_at(endpoint: str) -> AsyncIterator[Blobs]:
    store = f"s3://bucket?endpoint={endpoint}&region=r&timeout={TIMEOUT_SECONDS}"
    async with open_blobs(store, KEYS["access_key"], KEYS["secret_key"]) as blobs:
        yield blobs


async def everything_is_unavailable(blobs: Blobs) -> None:
    async def listing() -> None:
        async for _ in blobs.list("mail"):
            pass

    async def put_file() -> None:
        with tempfile.TemporaryFile() as file:
            file.write(b"x" * 6_000_000)
            file.flush()
            await blobs.put_file("mail/a.eml", file.fileno())

    calls = {
        "put": lambda: blobs.put("mail/a.eml", b"x"),
        "put_file": put_file,
        "get": lambda: blobs.get("mail/a.eml"),
        "get_range": lambda: blobs.get_range("mail/a.eml", 0, 1),
        "delete": lambda: blobs.delete(["mail/a.eml"]),
        "list": listing,
        "check": blobs.check,
    }

    async def is_unavailable(name: str) -> None:
        started = time.monotonic()
        with pytest.raises(Unavailable):
            await calls[name]()
        assert time.monotonic() - started < PATIENCE_SECONDS, name

    await asyncio.gather(*map(is_unavailable, calls))


async def test_an_s3_store_that_is_not_there_is_unavailable() -> None:
    async with s3_at("http://127.0.0.1:1") as blobs:
        await everything_is_unavailable(blobs)


async def test_an_s3_store_that_never_answers_is_unavailable() -> None:
    async with server(None) as url, s3_at(url) as blobs:
        await everything_is_unavailable(blobs)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 503 Slow Down\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n",
        b"this is no HTTP\r\n\r\n",
    ],
)
async def test_an_s3_store_that_answers_nonsense_is_unavailable(answer: bytes) -> None:
    async with server(answer) as url, s3_at(url) as blobs:
        await everything_is_unavailable(blobs)


@pytest.mark.integration
async def test_a_missing_bucket_is_unavailable_and_no_missing_object(s3_store: S3Store) -> None:
    elsewhere = s3_store.store.replace("s3://", "s3://never-made-")
    async with open_blobs(elsewhere, s3_store.access_key, s3_store.secret_key) as blobs:
        with pytest.raises(Unavailable):
            await blobs.get("mail/a.eml")
        with pytest.raises(Unavailable):
            await blobs.get_range("mail/a.eml", 0, 10)


@pytest.mark.integration
async def test_wrong_keys_are_unavailable(s3_store: S3Store) -> None:
    async with open_blobs(s3_store.store, s3_store.access_key, "wrong") as blobs:
        with pytest.raises(Unavailable):
            await blobs.put("mail/a.eml", b"x")


async def test_a_fault_of_the_disk_stays_with_its_object(tmp_path: Path) -> None:
    (tmp_path / "blocked").write_bytes(b"a file where a folder should be")

    async with open_blobs(f"disk:{tmp_path}") as blobs:
        results = await asyncio.gather(
            *(blobs.put(f"{folder}/x.eml", b"x") for folder in ("mail", "blocked", "other")),
            return_exceptions=True,
        )

        assert [type(result) for result in results] == [type(None), Unavailable, type(None)]
        assert await blobs.get("mail/x.eml") == await blobs.get("other/x.eml") == b"x"
        assert unfinished(tmp_path) == []


@contextmanager
def files_may_have(octets: int) -> Iterator[None]:
    """Let the kernel refuse longer files, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_what_does_not_fit_is_unavailable_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async with open_blobs(f"disk:{tmp_path}") as blobs:
        with files_may_have(HALF_OCTETS):
            small, large = await asyncio.gather(
                blobs.put("mail/small.eml", b"x" * 1000),
                blobs.put("mail/large.eml", b"x" * (HALF_OCTETS + 1)),
                return_exceptions=True,
            )

        assert small is None
        assert isinstance(large, Unavailable)
        assert unfinished(tmp_path) == []
        with pytest.raises(MissingObject):
            await blobs.get("mail/large.eml")
        await blobs.put("mail/large.eml", b"x" * (HALF_OCTETS + 1))  # there is room again


async def test_without_room_for_a_journal_nothing_is_stored(tmp_path: Path) -> None:
    async with open_blobs(f"disk:{tmp_path}") as blobs:
        with files_may_have(HALF_OCTETS - 1), pytest.raises(Unavailable):
            await blobs.put("mail/a.eml", b"x")

        with pytest.raises(MissingObject):
            await blobs.get("mail/a.eml")
        assert [path.name for path in (tmp_path / ".journal").iterdir()] == ["lock"]
        await blobs.put("mail/a.eml", b"x")


@pytest.fixture
def instant_flushes() -> Iterator[None]:
    """Keep the real disk, which others use, out of deadlines of milliseconds."""
    with pytest.MonkeyPatch.context() as patch:
        pwritev = os.pwritev
        patch.setattr(os, "fsync", lambda _descriptor: None)
        patch.setattr(os, "pwritev", lambda number, octets, at, _flags: pwritev(number, octets, at))
        yield


@pytest.mark.usefixtures("instant_flushes")
async def test_a_disk_that_hangs_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_end, write_end = os.pipe()

    def hang(_descriptor: int) -> None:
        os.read(read_end, 1)  # until the test lets go
        raise OSError(errno.EIO, "Input/output error")

    async with open_blobs(f"disk:{tmp_path}?timeout=0.2") as blobs:
        monkeypatch.setattr(os, "fsync", hang)
        started = time.monotonic()
        with pytest.raises(Unavailable, match="too slow"):
            await blobs.put("mail/a.eml", b"x")
        assert time.monotonic() - started < PATIENCE_SECONDS

        monkeypatch.undo()
        os.close(write_end)
        await blobs.put("mail/b.eml", b"x")  # the thread is free again
        with pytest.raises(MissingObject):
            await blobs.get("mail/a.eml")
    os.close(read_end)


@pytest.mark.parametrize("octets", [b"x", b"x" * (JOURNALED_OCTETS + 1)])
async def test_an_input_output_error_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, octets: bytes
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    async with open_blobs(f"disk:{tmp_path}") as blobs:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            patch.setattr(os, "pwritev", fail)
            with pytest.raises(Unavailable):
                await blobs.put("mail/a.eml", octets)
        assert unfinished(tmp_path) == []
        with pytest.raises(MissingObject):
            await blobs.get("mail/a.eml")


@pytest.mark.usefixtures("instant_flushes")
async def test_a_file_that_hangs_is_unavailable_and_stays_open_for_who_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_end, write_end = os.pipe()
    synced: list[str] = []

    def hang(descriptor: int) -> None:
        os.read(read_end, 1)  # until the test lets go
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        raise OSError(errno.EIO, "Input/output error")

    async with open_blobs(f"disk:{tmp_path}?timeout=0.2") as blobs:
        await blobs.put("mail/first.eml", b"x")
        descriptor = os.open(tmp_path, os.O_TMPFILE | os.O_RDWR, 0o600)
        os.write(descriptor, b"x")
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", hang)
            with pytest.raises(Unavailable, match="too slow"):
                await blobs.put_file("mail/a.eml", descriptor)
            os.close(descriptor)  # its number is free for something else
            os.close(write_end)
            async with asyncio.timeout(10):
                while unfinished(tmp_path):  # noqa: ASYNC110 - a thread tells of no event
                    await asyncio.sleep(0.01)

        assert synced[0].startswith(str(tmp_path))
        with pytest.raises(MissingObject):
            await blobs.get("mail/a.eml")
    os.close(read_end)


@pytest.mark.usefixtures("instant_flushes")
async def test_a_slow_disk_makes_a_crowd_wait_and_refuses_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a hundred messages of 50 MiB end at once: all together take longer than one may."""

    def sync_slowly(_descriptor: int) -> None:
        time.sleep(0.1)  # and no more, however busy the disk

    async with open_blobs(f"disk:{tmp_path}?timeout=1") as blobs:
        await blobs.put("mail/first.eml", b"x")
        monkeypatch.setattr(os, "fsync", sync_slowly)
        began = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            with nameless_files(tmp_path, 40) as descriptors:
                for number, descriptor in enumerate(descriptors):
                    tasks.create_task(blobs.put_file(f"mail/{number}.eml", descriptor))
                await asyncio.sleep(0)  # from here on their numbers mean nothing

        assert time.monotonic() - began > 1  # longer than one may take

        assert await blobs.get("mail/39.eml") == b"x"


@pytest.mark.usefixtures("instant_flushes")
async def test_a_file_for_a_store_whose_folder_is_gone_is_unavailable(tmp_path: Path) -> None:
    async with open_blobs(f"disk:{tmp_path}/objects") as blobs:
        (tmp_path / "objects" / ".unfinished").rmdir()
        with nameless_files(tmp_path, 1) as (descriptor,), pytest.raises(Unavailable):
            await blobs.put_file("mail/a.eml", descriptor)


async def test_whoever_waits_behind_a_file_that_hangs_is_told_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_end, write_end = os.pipe()

    def hang(_descriptor: int) -> None:
        os.read(read_end, 1)  # until the test lets go
        raise OSError(errno.EIO, "Input/output error")

    async with open_blobs(f"disk:{tmp_path}?timeout=0.2") as blobs:
        await blobs.put("mail/first.eml", b"x")
        with monkeypatch.context() as patch, nameless_files(tmp_path, 100) as descriptors:
            patch.setattr(os, "fsync", hang)
            started = time.monotonic()
            results = await asyncio.gather(
                *(blobs.put_file(f"mail/{n}.eml", one) for n, one in enumerate(descriptors)),
                return_exceptions=True,
            )
            assert all(isinstance(result, Unavailable) for result in results)
            assert time.monotonic() - started < PATIENCE_SECONDS
            os.close(write_end)
            async with asyncio.timeout(10):
                while unfinished(tmp_path):  # noqa: ASYNC110 - a thread tells of no event
                    await asyncio.sleep(0.01)

        with nameless_files(tmp_path, 1) as (descriptor,):
            await blobs.put_file("mail/again.eml", descriptor)
    os.close(read_end)


@contextmanager
def nameless_files(folder: Path, count: int) -> Iterator[list[int]]:
    """Open files of one octet."""
    descriptors = [os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600) for _ in range(count)]
    try:
        for descriptor in descriptors:
            os.write(descriptor, b"x")
        yield descriptors
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


async def test_a_directory_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(Unavailable):
        async with open_blobs(f"disk:{tmp_path}/file/objects"):
            pass


def unfinished(root: Path) -> list[Path]:
    return list((root / ".unfinished").iterdir())
