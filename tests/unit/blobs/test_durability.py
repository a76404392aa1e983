"""The directory driver says "stored" only when a power cut could not take it any more."""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from posthouse.blobs import disk as disk_module
from posthouse.blobs import open_blobs
from posthouse.durable.files import JOURNALED_OCTETS, UNFINISHED, Files
from posthouse.durable.journal import HALF_OCTETS, JOURNAL
from posthouse.mail.errors import Unavailable

LARGE = b"x" * (JOURNALED_OCTETS + 1)


@dataclass
class Witness:
    """Writes down what the kernel was asked for, in order, and lets it happen."""

    seen: list[tuple[str, Path]] = field(default_factory=list)

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        fsync, pwritev, rename = os.fsync, os.pwritev, os.rename

        def watched_fsync(descriptor: int) -> None:
            fsync(descriptor)
            self.seen.append(("fsync", Path(f"/proc/self/fd/{descriptor}").readlink()))

        def watched_pwritev(descriptor: int, buffers: list[bytes], at: int, flags: int) -> int:
            written = pwritev(descriptor, buffers, at, flags)
            what = "durable write" if flags & os.RWF_DSYNC else "write"
            self.seen.append((what, Path(f"/proc/self/fd/{descriptor}").readlink()))
            return written

        def watched_rename(source: Path, target: Path) -> None:
            rename(source, target)
            self.seen.append(("rename", Path(target)))

        monkeypatch.setattr(os, "fsync", watched_fsync)
        monkeypatch.setattr(os, "pwritev", watched_pwritev)
        monkeypatch.setattr(os, "rename", watched_rename)

    def index(self, what: str, path: Path) -> int:
        return self.seen.index((what, path))

    def flushes_of_journals(self) -> int:
        return sum(what == "durable write" and JOURNAL in path.parts for what, path in self.seen)


@pytest.fixture
def witness(monkeypatch: pytest.MonkeyPatch) -> Witness:
    made = Witness()
    made.watch(monkeypatch)
    return made


async def test_of_a_large_object_octets_then_name_then_folders_are_on_the_disk(
    tmp_path: Path, witness: Witness
) -> None:
    root = tmp_path / "objects"
    async with open_blobs(f"disk:{root}") as blobs:
        witness.seen.clear()
        await blobs.put("mail/2026/11/22/a.eml", LARGE)
        at_return = list(witness.seen)

    day = root / "mail/2026/11/22"
    first_file = next(n for n, (what, p) in enumerate(at_return) if UNFINISHED in p.parts)
    named = witness.index("rename", day / "a.eml")
    assert at_return[first_file][0] == "fsync"
    assert first_file < named
    assert ("fsync", day) in at_return[named:]
    for above in (root / "mail/2026/11", root / "mail/2026", root / "mail", root):
        assert ("fsync", above) in at_return


@pytest.mark.parametrize("place", [None, "/dev/shm"])  # noqa: S108 - another file system
async def test_of_a_file_octets_then_name_then_folders_are_on_the_disk(
    tmp_path: Path, witness: Witness, place: str | None
) -> None:
    async with open_blobs(f"disk:{tmp_path}/objects") as blobs:
        descriptor = os.open(place or str(blobs.nearby), os.O_TMPFILE | os.O_RDWR, 0o600)
        os.write(descriptor, LARGE)
        inode = os.fstat(descriptor).st_ino
        witness.seen.clear()
        await blobs.put_file("mail/22/a.eml", descriptor)
        at_return = list(witness.seen)
        os.close(descriptor)

    day = tmp_path / "objects/mail/22"
    named = witness.index("rename", day / "a.eml")
    assert any(what == "fsync" and UNFINISHED in p.parts for what, p in at_return[:named])
    assert ("fsync", day) in at_return[named:]
    assert ("fsync", tmp_path / "objects/mail") in at_return
    assert ((day / "a.eml").stat().st_ino == inode) is (place is None)  # not copied
    assert not list((tmp_path / "objects" / UNFINISHED).iterdir())


async def test_a_file_that_cannot_be_stored_leaves_nothing_behind(tmp_path: Path) -> None:
    async with open_blobs(f"disk:{tmp_path}/objects") as blobs:
        (tmp_path / "objects/mail").write_bytes(b"")  # where a folder should be
        descriptor = os.open(tmp_path, os.O_TMPFILE | os.O_RDWR, 0o600)
        with pytest.raises(Unavailable):
            await blobs.put_file("mail/a.eml", descriptor)
        os.close(descriptor)

        assert not list((tmp_path / "objects" / UNFINISHED).iterdir())
        await blobs.check()


async def test_of_a_small_object_the_octets_are_in_a_journal_that_is_on_the_disk(
    tmp_path: Path, witness: Witness
) -> None:
    async with open_blobs(f"disk:{tmp_path}") as blobs:
        octets = secrets.token_bytes(5000)
        await blobs.put("mail/2026/11/22/a.eml", octets)
        at_return = list(witness.seen)
        (journal,) = (p for p in (tmp_path / JOURNAL).iterdir() if p.name != "lock")

        assert at_return[-1] == ("durable write", journal)
        assert octets in journal.read_bytes()
        # Its blocks and its name were there before: the flush had nothing but octets to write.
        assert journal.stat().st_size == journal.stat().st_blocks * 512 == HALF_OCTETS
        assert at_return.index(("fsync", tmp_path / JOURNAL)) < len(at_return) - 1


async def test_where_no_write_can_be_durable_the_journal_is_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[Path] = []
    fdatasync = os.fdatasync

    def refuse(*_: object) -> int:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    def watched(descriptor: int) -> None:
        fdatasync(descriptor)
        flushed.append(Path(f"/proc/self/fd/{descriptor}").readlink())

    monkeypatch.setattr(os, "pwritev", refuse)
    monkeypatch.setattr(os, "fdatasync", watched)
    async with open_blobs(f"disk:{tmp_path}") as blobs:
        octets = secrets.token_bytes(5000)
        await blobs.put("mail/2026/11/22/a.eml", octets)
        (journal,) = (p for p in (tmp_path / JOURNAL).iterdir() if p.name != "lock")

        assert octets in journal.read_bytes()
        assert flushed == [journal]


async def test_the_store_s_own_folder_is_on_the_disk_too(tmp_path: Path, witness: Witness) -> None:
    async with open_blobs(f"disk:{tmp_path}/new/objects"):
        pass

    synced = {path for what, path in witness.seen if what == "fsync"}
    assert {tmp_path / "new/objects", tmp_path / "new"} <= synced


async def test_what_gathered_shares_a_flush(tmp_path: Path, witness: Witness) -> None:
    async with open_blobs(f"disk:{tmp_path}") as blobs:
        await blobs.put("mail/first.eml", b"x")
        witness.seen.clear()
        await asyncio.gather(*(blobs.put(f"mail/{n}.eml", b"x") for n in range(40)))

        assert 1 <= witness.flushes_of_journals() <= 10


async def test_large_ones_that_gathered_share_the_fsync_of_their_folder(
    tmp_path: Path, witness: Witness
) -> None:
    async with open_blobs(f"disk:{tmp_path}") as blobs:
        await blobs.put("mail/first.eml", LARGE)
        witness.seen.clear()
        await asyncio.gather(*(blobs.put(f"mail/{n}.eml", LARGE) for n in range(20)))

    of_files = [p for what, p in witness.seen if what == "fsync" and UNFINISHED in p.parts]
    of_folder = [p for what, p in witness.seen if (what, p) == ("fsync", tmp_path / "mail")]
    assert len(of_files) == 20
    assert 1 <= len(of_folder) <= 10


@pytest.mark.parametrize("octets", [b"y", LARGE])
async def test_a_folder_that_somebody_removed_is_made_again(tmp_path: Path, octets: bytes) -> None:
    async with open_blobs(f"disk:{tmp_path}") as blobs:
        await blobs.put("mail/day/a.eml", octets)
        await blobs.delete(["mail/day/a.eml"])
        (tmp_path / "mail/day").rmdir()

        await blobs.put("mail/day/b.eml", octets)

        assert await blobs.get("mail/day/b.eml") == octets


async def test_two_processes_share_a_directory(tmp_path: Path) -> None:
    async with open_blobs(f"disk:{tmp_path}") as one, open_blobs(f"disk:{tmp_path}") as other:
        await asyncio.gather(
            *(blobs.put(f"mail/{n}/x.eml", b"x") for n in range(20) for blobs in (one, other))
        )

        assert len([found async for found in one.list()]) == 20


def test_only_what_was_abandoned_is_tidied_up(tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.open()
    young, old = tmp_path / UNFINISHED / "young", tmp_path / UNFINISHED / "old"
    young.touch()
    old.touch()
    os.utime(old, (0, 0))

    Files(tmp_path).open()

    assert (young.exists(), old.exists()) == (True, False)


async def test_more_than_can_wait_is_refused_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_module, "WAITING_MAX", 3)
    async with open_blobs(f"disk:{tmp_path}") as blobs:
        results = await asyncio.gather(
            *(blobs.put(f"mail/{n}.eml", b"x") for n in range(5)), return_exceptions=True
        )

        assert [isinstance(r, Unavailable) for r in results] == [False, False, False, True, True]
        await blobs.put("mail/later.eml", b"x")


async def test_a_cancelled_caller_leaves_the_others_alone(tmp_path: Path) -> None:
    async with open_blobs(f"disk:{tmp_path}") as blobs:
        calls = [asyncio.create_task(blobs.put(f"mail/{n}.eml", b"x")) for n in range(5)]
        await asyncio.sleep(0)
        calls[2].cancel()
        results = await asyncio.gather(*calls, return_exceptions=True)

        assert [n for n, result in enumerate(results) if result is not None] == [2]
        assert await blobs.get("mail/4.eml") == b"x"


async def test_cold_and_large_objects_are_read_in_a_thread(tmp_path: Path) -> None:
    octets = secrets.token_bytes(600_000)
    async with open_blobs(f"disk:{tmp_path}") as blobs:
        await blobs.put("mail/a.eml", octets)
        descriptor = os.open(tmp_path / "mail/a.eml", os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)  # out of the page cache
        os.close(descriptor)

        assert await blobs.get_range("mail/a.eml", 300_000, 300_100) == octets[300_000:300_100]
        assert await blobs.get("mail/a.eml") == octets


async def test_what_was_put_before_closing_is_stored(tmp_path: Path) -> None:
    async with open_blobs(f"disk:{tmp_path}") as blobs:
        call = asyncio.create_task(blobs.put("mail/a.eml", b"x"))
        await asyncio.sleep(0)
    await call

    assert (tmp_path / "mail/a.eml").read_bytes() == b"x"
