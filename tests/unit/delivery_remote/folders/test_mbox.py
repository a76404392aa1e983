"""An mbox gets each message once, whole, and is never harmed."""

from __future__ import annotations

import errno
import io
import mailbox
import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from delivery_remote.folders.dot_lock import MARK, STALE_SECONDS, Locked
from delivery_remote.folders.mbox import Mbox
from support.limits import files_of_at_most

BODY = io.BytesIO(b"Subject: Hello\n\n>From here.\n")
PREFIX = b"From anna@a.test Fri Nov 20 01:02:03 2026\nReturn-Path: <anna@a.test>\n"
WHOLE = PREFIX + BODY.getvalue() + b"\n"
OLD = b"From x@y.test Thu Nov 19 01:02:03 2026\nSubject: Old\n\nold\n\n"
KEY = "0R0"


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    file = tmp_path / "spool/bert"
    file.parent.mkdir()
    file.write_bytes(OLD)
    return file


def _bert(spool: Path, *, create: bool = False) -> Mbox:
    return Mbox(spool.parents[1], ("spool", spool.name), create=create)


def test_a_message_is_appended_as_other_programs_read_it(spool: Path) -> None:
    _bert(spool).file(KEY, PREFIX, BODY)

    assert spool.read_bytes() == OLD + WHOLE
    with closing(mailbox.mbox(spool, create=False)) as reader:
        assert [message["Subject"] for message in reader] == ["Old", "Hello"]


def test_the_second_time_changes_nothing(spool: Path) -> None:
    for _ in range(2):
        _bert(spool).file(KEY, PREFIX, BODY)
    _bert(spool).file("other", PREFIX, BODY)
    _bert(spool).file(KEY, PREFIX, BODY)
    for key in (KEY, "other", KEY):
        _bert(spool).forget(key)

    assert spool.read_bytes() == OLD + WHOLE + WHOLE
    assert [each.name for each in spool.parent.iterdir()] == ["bert"]


@pytest.mark.parametrize("written", range(0, len(WHOLE), 7))
def test_what_a_death_left_half_written_is_cut_off(spool: Path, written: int) -> None:
    spool.with_name(f".bert.{KEY}").write_bytes(str(len(OLD)).encode())
    spool.write_bytes(OLD + WHOLE[:written])

    _bert(spool).file(KEY, PREFIX, BODY)

    assert spool.read_bytes() == OLD + WHOLE


def test_what_others_appended_since_is_never_cut_off(spool: Path) -> None:
    spool.with_name(f".bert.{KEY}").write_bytes(str(len(OLD)).encode())
    half = OLD + WHOLE[:40] + b"\n\n" + OLD * 3
    spool.write_bytes(half)

    _bert(spool).file(KEY, PREFIX, BODY)

    assert spool.read_bytes() == half + WHOLE


@pytest.mark.parametrize("others", [OLD[:60], WHOLE[:40] + b"\n\n" + OLD, PREFIX + b"Another\n"])
def test_mail_of_others_where_we_began_is_never_cut_off(spool: Path, others: bytes) -> None:
    spool.with_name(f".bert.{KEY}").write_bytes(str(len(OLD)).encode())
    spool.write_bytes(OLD + others)
    long = io.BytesIO(BODY.getvalue() + b"a line\n" * 100)

    _bert(spool).file(KEY, PREFIX, long)

    assert spool.read_bytes().startswith(OLD + others)
    assert spool.read_bytes().endswith(PREFIX + long.getvalue() + b"\n")


def test_a_file_that_others_made_shorter_is_never_cut_off(spool: Path) -> None:
    spool.with_name(f".bert.{KEY}").write_bytes(str(2 * len(OLD)).encode())

    _bert(spool).file(KEY, PREFIX, BODY)

    assert spool.read_bytes() == OLD + WHOLE


def test_a_full_disk_leaves_the_file_as_it_was(spool: Path) -> None:
    with files_of_at_most(len(OLD) + 20), pytest.raises(OSError, match="too large"):
        _bert(spool).file(KEY, PREFIX, BODY)

    assert spool.read_bytes() == OLD
    _bert(spool).file(KEY, PREFIX, BODY)
    assert spool.read_bytes() == OLD + WHOLE


def test_a_message_begins_on_a_line_of_its_own(spool: Path) -> None:
    spool.write_bytes(OLD.rstrip(b"\n"))

    for _ in range(2):
        _bert(spool).file(KEY, PREFIX, BODY)

    assert spool.read_bytes() == OLD + WHOLE


def test_nothing_is_written_while_somebody_holds_the_lock_file(spool: Path) -> None:
    lock = spool.with_name("bert.lock")
    lock.touch()

    with pytest.raises(Locked):
        _bert(spool).file(KEY, PREFIX, BODY)
    assert lock.exists()

    old = time.time() - STALE_SECONDS - 1
    os.utime(lock, (old, old))
    _bert(spool).file(KEY, PREFIX, BODY)
    assert spool.read_bytes() == OLD + WHOLE
    assert not lock.exists()


_LOCK = """
import os, sys
from delivery_remote.folders.dot_lock import dot_lock
with dot_lock(os.open(sys.argv[1], os.O_RDONLY), "bert.lock"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_lock_file_of_a_process_of_ours_holds_as_long_as_that_lives(spool: Path) -> None:
    lock = spool.with_name("bert.lock")
    with subprocess.Popen(
        [sys.executable, "-c", _LOCK, str(spool.parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        old = time.time() - STALE_SECONDS - 1
        os.utime(lock, (old, old))
        with pytest.raises(Locked):
            _bert(spool).file(KEY, PREFIX, BODY)
        holder.kill()
    assert lock.read_bytes() == MARK

    _bert(spool).file(KEY, PREFIX, BODY)

    assert spool.read_bytes() == OLD + WHOLE
    assert not lock.exists()


def test_a_lock_file_that_cannot_be_written_does_not_stay(
    spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("delivery_remote.folders.dot_lock.os.write", full)

    with pytest.raises(OSError, match="No space"):
        _bert(spool).file(KEY, PREFIX, BODY)

    assert not spool.with_name("bert.lock").exists()


_HOLD = """
import fcntl, sys
with open(sys.argv[1], "rb+") as file:
    fcntl.lockf(file, fcntl.LOCK_EX)
    print("held", flush=True)
    sys.stdin.read()
"""


def test_nothing_is_written_while_another_program_holds_the_file(spool: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(spool)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(Locked):
            _bert(spool).file(KEY, PREFIX, BODY)
        holder.communicate()
    _bert(spool).file(KEY, PREFIX, BODY)

    assert spool.read_bytes() == OLD + WHOLE
    assert [each.name for each in spool.parent.glob("*.lock")] == []


_TRY = """
import fcntl, sys
with open(sys.argv[1], "rb+") as file:
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
"""


class _Watched(io.BytesIO):
    """A message during whose filing another program tries to lock the file."""

    def __init__(self, octets: bytes, spool: Path) -> None:
        super().__init__(octets)
        self._spool = spool
        self.refused = False

    def read(self, size: int | None = -1, /) -> bytes:
        done = subprocess.run(
            [sys.executable, "-c", _TRY, str(self._spool)], capture_output=True, check=False
        )
        has_dot_lock = self._spool.with_name("bert.lock").exists()
        self.refused = b"BlockingIOError" in done.stderr and has_dot_lock
        return super().read(size)


def test_another_program_finds_it_locked_meanwhile(spool: Path) -> None:
    body = _Watched(BODY.getvalue(), spool)

    _bert(spool).file(KEY, PREFIX, body)

    assert body.refused


def test_what_is_no_file_of_one_name_is_left_alone(spool: Path, tmp_path: Path) -> None:
    (spool.parent / "link").symlink_to(spool)
    os.mkfifo(spool.parent / "pipe")
    victim = tmp_path / "victim"
    victim.touch()
    os.link(victim, spool.parent / "double")

    for name in ("link", "pipe", "double"):
        with pytest.raises(OSError, match=r"."):
            _bert(spool.with_name(name)).file(KEY, PREFIX, BODY)

    assert victim.read_bytes() == b""
    assert spool.read_bytes() == OLD


def test_a_file_is_made_only_if_that_is_wanted(spool: Path) -> None:
    new = spool.with_name("carl")
    with pytest.raises(FileNotFoundError):
        _bert(new).file(KEY, PREFIX, BODY)
    assert not new.exists()

    _bert(new, create=True).file(KEY, PREFIX, BODY)

    assert new.read_bytes() == WHOLE
    assert new.stat().st_mode & 0o777 == 0o600
