"""What was reported as stored is there after a power cut: the journal gives it back."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from posthouse.blobs import open_blobs
from posthouse.durable.files import Files
from posthouse.durable.journal import HALF_OCTETS, JOURNAL, Journal, recover
from posthouse.mail.errors import MissingObject, Unavailable

# Puts objects, says so, and waits to be killed.
WRITER = """
import asyncio, sys
from posthouse.blobs import open_blobs

async def main():
    async with open_blobs("disk:" + sys.argv[1]) as blobs:
        for n in range(50):
            await blobs.put(f"mail/{n % 3}/{n}.eml", b"%d" % n * 100)
        print("stored", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@contextmanager
def writer(root: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has stored fifty objects and holds its journal."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(root)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "stored\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def journals(root: Path) -> list[Path]:
    return sorted(path for path in (root / JOURNAL).iterdir() if path.name != "lock")


def read_back(root: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}

    def restore(key: str, octets: bytes) -> bool:
        found[key] = octets
        return True

    recover(str(root), restore)
    return found


async def test_a_power_cut_takes_nothing_that_was_reported(tmp_path: Path) -> None:
    with writer(tmp_path) as process:
        kill(process)
    # What the kernel had not written yet: one folder is gone, files are empty or cut short.
    shutil.rmtree(tmp_path / "mail/0")
    for path in (tmp_path / "mail/1").iterdir():
        path.write_bytes(b"")
    for path in (tmp_path / "mail/2").iterdir():
        path.write_bytes(path.read_bytes()[:-1])

    async with open_blobs(f"disk:{tmp_path}") as blobs:
        for n in range(50):
            assert await blobs.get(f"mail/{n % 3}/{n}.eml") == b"%d" % n * 100
    assert journals(tmp_path) == []


async def test_the_journal_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    with writer(tmp_path) as process:
        before = journals(tmp_path)
        async with open_blobs(f"disk:{tmp_path}"):
            assert journals(tmp_path) == before

        kill(process)
        async with open_blobs(f"disk:{tmp_path}"):
            assert journals(tmp_path) == []


async def test_who_ends_in_good_order_leaves_no_journal(tmp_path: Path) -> None:
    async with open_blobs(f"disk:{tmp_path}") as blobs:
        await blobs.put("mail/a.eml", b"x")
        assert len(journals(tmp_path)) == 1

    assert journals(tmp_path) == []


async def test_who_writes_nothing_has_no_journal(tmp_path: Path) -> None:
    async with open_blobs(f"disk:{tmp_path}") as blobs:
        with pytest.raises(MissingObject):
            await blobs.get("mail/a.eml")
        assert journals(tmp_path) == []


def test_a_record_that_is_not_whole_ends_the_journal(tmp_path: Path) -> None:
    Files(tmp_path).open()
    journal = Journal(str(tmp_path))
    for n in range(3):
        journal.write([(f"mail/{n}.eml", b"octets %d" % n)])
    (path,) = journals(tmp_path)
    content = bytearray(path.read_bytes())
    content[content.index(b"octets 1")] ^= 1
    path.write_bytes(content)
    _die(journal)

    assert read_back(tmp_path) == {"mail/0.eml": b"octets 0"}


def test_two_halves_are_used_in_turn_and_old_records_are_not_read_again(tmp_path: Path) -> None:
    Files(tmp_path).open()
    journal = Journal(str(tmp_path))
    quarter = b"x" * (HALF_OCTETS // 4)
    for n in range(9):  # three into each half: a, b, a again
        journal.write([(f"mail/{n}.eml", quarter)])
    assert len(journals(tmp_path)) == 2
    _die(journal)

    found = read_back(tmp_path)
    assert {"mail/6.eml", "mail/7.eml", "mail/8.eml"} <= set(found)
    assert not {"mail/0.eml", "mail/1.eml", "mail/2.eml"} & set(found)


def test_a_half_is_not_used_again_before_its_objects_are_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Files(tmp_path).open()
    journal = Journal(str(tmp_path))
    half = b"x" * (HALF_OCTETS - 100)

    def fail(_folder: str) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("posthouse.durable.journal.sync_file_system", fail)
    journal.write([("mail/0.eml", half)])
    journal.write([("mail/1.eml", half)])
    for _ in range(2):
        with pytest.raises(OSError, match="Input/output"):
            journal.write([("mail/2.eml", half)])

    monkeypatch.undo()
    with pytest.raises(OSError, match="Input/output"):  # what the last attempt had found
        journal.write([("mail/2.eml", half)])
    journal.write([("mail/2.eml", half)])
    journal.close()
    assert journals(tmp_path) == []


def test_closing_waits_for_a_checkpoint_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would write to whatever file has got the closed one's number."""
    Files(tmp_path).open()
    journal = Journal(str(tmp_path))
    half = b"x" * (HALF_OCTETS - 100)
    go_on, ended = threading.Event(), threading.Event()

    def slow(_folder: str) -> None:
        if threading.current_thread().name == "blob-checkpoint":
            go_on.wait(10)
        else:
            ended.set()

    monkeypatch.setattr("posthouse.durable.journal.sync_file_system", slow)
    journal.write([("mail/0.eml", half)])
    journal.write([("mail/1.eml", half)])
    closing = threading.Thread(target=journal.close)
    closing.start()

    assert not ended.wait(0.2)
    go_on.set()
    closing.join(10)
    assert ended.is_set()
    assert journals(tmp_path) == []


async def test_what_cannot_be_restored_keeps_the_store_closed(tmp_path: Path) -> None:
    with writer(tmp_path) as process:
        kill(process)
    shutil.rmtree(tmp_path / "mail")
    (tmp_path / "mail").write_bytes(b"a file where a folder should be")

    with pytest.raises(Unavailable):
        async with open_blobs(f"disk:{tmp_path}"):
            pass

    (tmp_path / "mail").unlink()
    async with open_blobs(f"disk:{tmp_path}") as blobs:
        assert await blobs.get("mail/1/49.eml") == b"49" * 100


async def test_no_journal_is_listed_as_an_object(tmp_path: Path) -> None:
    async with open_blobs(f"disk:{tmp_path}") as blobs:
        await blobs.put("mail/a.eml", b"x")

        assert [found.key async for found in blobs.list()] == ["mail/a.eml"]


def _die(journal: Journal) -> None:
    """Let go of the files as the kernel does for a process that was killed."""
    for half in (journal._active, journal._other):
        if half is not None:
            if half.freed is not None:
                half.freed.exception()
            os.close(half.descriptor)
