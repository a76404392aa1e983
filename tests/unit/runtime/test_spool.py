"""The spool: files that nobody sees and that are gone when nobody needs them."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import tracemalloc
from pathlib import Path
from threading import Event

import pytest

from ingress_smtp import replies
from ingress_smtp.budget import Budget
from ingress_smtp.draft import Draft, Space
from ingress_smtp.hygiene import Inspection, Rules
from ingress_smtp.letterhead import Letterhead
from ingress_smtp.settings import IngressSettings
from ingress_smtp.stamps import Arrival
from posthouse.mime import scan
from posthouse.runtime.settings import read
from posthouse.runtime.spool import Spool, SpoolFile

LINE = b"x" * 998 + b"\r\n"
KIB = 1024
ARRIVAL = Arrival(
    client="192.0.2.1", hello="far.test", extended=True, tls=None, auth="", is_submission=False,
    sender="", recipients=(), body="7BIT", smtputf8=False,
)  # fmt: skip


def open_files() -> set[str]:
    """Return what our open descriptors are."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        try:
            found.add(str(link.readlink()))
        except FileNotFoundError:
            continue
    return found


def files_in(folder: Path) -> set[str]:
    return {path for path in open_files() if path.startswith(f"{folder}/")}


def a_draft(spool: Spool, *, disk: int = 20_000_000, limit: int = 20_000_000) -> Draft:
    space = Space(
        memory=Budget(1_000_000), disk=Budget(disk, is_disk=True), spool=spool, threshold=1000
    )
    return Draft(Inspection(Rules(), limit=limit), None, space)


async def spilled(draft: Draft, octets: bytes) -> None:
    draft.take(octets)
    assert draft.is_full
    await draft.spill()


@pytest.mark.parametrize("has_nameless_files", [True, False])
async def test_what_is_written_is_read_and_has_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_nameless_files: bool
) -> None:
    if not has_nameless_files:  # as on NFS
        really_open = os.open

        def refuse(path: str, flags: int, mode: int = 0o777, **more: int) -> int:
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(errno.EOPNOTSUPP, "Operation not supported")
            return really_open(path, flags, mode, **more)

        monkeypatch.setattr(os, "open", refuse)
    async with Spool(tmp_path) as spool:
        file = await spool.create()
        for n in range(100):
            await file.append(b"%05d" % n * 1000)

        assert list(tmp_path.iterdir()) == []
        assert file.size == os.fstat(file.descriptor).st_size == 500_000
        pages = file.pages()
        assert pages[250_000:250_010] == b"0005000050"
        assert pages.find(b"00099") == 495_000

        file.close()
        file.close()
    assert files_in(tmp_path) == set()


async def test_a_file_that_is_worked_on_is_closed_behind_the_work(tmp_path: Path) -> None:
    may_end = Event()
    async with Spool(tmp_path) as spool:
        file = await spool.create()
        work = asyncio.create_task(file.work(may_end.wait, 10))
        await asyncio.sleep(0)
        file.close()
        assert len(files_in(tmp_path)) == 1

        work.cancel()  # the session has gone; the thread has not
        await asyncio.gather(work, return_exceptions=True)
        assert len(files_in(tmp_path)) == 1
        may_end.set()
        async with asyncio.timeout(10):
            while files_in(tmp_path):  # noqa: ASYNC110 - the kernel tells of no event
                await asyncio.sleep(0.01)


async def test_a_spool_that_cannot_be_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        async with Spool(tmp_path / "missing"):
            pass


def test_a_folder_that_is_none_is_no_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "DATABASE_URL": "postgresql://p@127.0.0.1/x", "BROKER_URL": "amqp://127.0.0.1/",
        "STORE": "disk:/x", "HOSTNAME": "mx.example.test", "POLICY_ENDPOINTS": "a:1",
        "SUBMISSION_PORT": "0", "SMTPS_PORT": "0", "SPOOL_FOLDER": f"{tmp_path}/missing",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"POSTHOUSE_{name}", value)

    assert read(IngressSettings) == [
        "POSTHOUSE_SPOOL_FOLDER: must be a folder that may be written to"
    ]
    monkeypatch.setenv("POSTHOUSE_SPOOL_FOLDER", str(tmp_path))
    settings = read(IngressSettings)
    assert isinstance(settings, IngressSettings)
    assert settings.spool_folder == tmp_path


async def test_a_large_message_holds_its_last_octets_in_memory_alone(tmp_path: Path) -> None:
    async with Spool(tmp_path) as spool:
        draft = a_draft(spool)
        draft.take(b"Subject: x\r\n\r\n")
        for _ in range(5000):
            await spilled(draft, LINE * 2)

        assert draft._memory._taken < 10_000
        assert draft._disk._taken == 14 + 5000 * 2000
        draft.close()
        draft.close()
    assert files_in(tmp_path) == set()


async def test_a_large_message_is_received_and_scanned_in_little_memory(tmp_path: Path) -> None:
    async with Spool(tmp_path) as spool:
        space = Space(
            memory=Budget(2048 * KIB), disk=Budget(2**30), spool=spool, threshold=256 * KIB
        )
        draft = Draft(Inspection(Rules(), limit=2**30), Letterhead(ARRIVAL, "mx.test"), space)
        portion = LINE * 250  # as much as a socket gives at once
        tracemalloc.start()
        try:
            draft.take(b"Subject: x\r\n\r\n")
            for _ in range(40):
                draft.take(bytes(portion[:-2]) + b"\r\n")  # a portion of its own, as from a socket
                if draft.is_full:
                    await draft.spill()
            letter = await draft.letter(recipients=["a@b.test"], declared=False)
            assert letter is not None
            assert isinstance(letter.content, SpoolFile)
            await letter.content.work(scan, letter.content.pages())
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        draft.close()

    assert letter.size > 40 * len(portion)
    assert most < 1280 * KIB


@pytest.mark.parametrize(
    "beginning",
    [
        b"Subject: x\r\nAuthentication-Results: mx.test; spf=pass\r\nTo: a@b.test\r\n\r\n",
        b"no header\r\n\r\n",
        b"\r\nno header\r\n",
        b" no header, but white space\r\n\r\n",
    ],
)
async def test_a_large_message_begins_as_a_small_one_does(tmp_path: Path, beginning: bytes) -> None:
    stored = []
    async with Spool(tmp_path) as spool:
        for threshold in (1000, 1_000_000):
            space = Space(
                memory=Budget(10**6), disk=Budget(10**6), spool=spool, threshold=threshold
            )
            draft = Draft(Inspection(Rules(), limit=10**6), Letterhead(ARRIVAL, "mx.test"), space)
            draft.take(beginning + LINE * 2)
            if draft.is_full:
                await draft.spill()
            content = await draft.content()
            assert content is not None
            is_large = isinstance(content, SpoolFile)
            assert is_large == (threshold == 1000)
            octets = content.pages()[:] if isinstance(content, SpoolFile) else content
            stored.append(re.sub(rb" id .*?;\r\n\t.*?\r\n", b"", octets, count=1, flags=re.DOTALL))
            draft.close()

    assert stored[0] == stored[1]
    assert stored[0].startswith(b"Received: ")
    assert stored[0].endswith(LINE * 2)


async def test_a_header_is_kept_together_until_it_is_whole(tmp_path: Path) -> None:
    async with Spool(tmp_path) as spool:
        draft = a_draft(spool)
        await spilled(draft, b"X: " + LINE)
        assert files_in(tmp_path) == set()
        await spilled(draft, b"\r\n" + LINE)
        assert len(files_in(tmp_path)) == 1
        draft.close()


async def test_when_the_spool_is_spent_a_message_waits(tmp_path: Path) -> None:
    async with Spool(tmp_path) as spool:
        draft = a_draft(spool, disk=3000)
        draft.take(b"\r\n")
        await spilled(draft, LINE * 2)
        assert draft.refusal is None
        await spilled(draft, LINE * 2)

        assert draft.refusal is replies.NO_MEMORY
        assert files_in(tmp_path) == set()  # the room is free again at once
        draft.close()


async def test_a_full_disk_is_our_trouble_and_the_message_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_descriptor: int, _octets: bytes, _at: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with Spool(tmp_path) as spool:
        draft = a_draft(spool)
        draft.take(b"\r\n")
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", refuse)
            await spilled(draft, LINE * 2)

        assert draft.refusal is replies.UNAVAILABLE
        assert await draft.letter(recipients=["a@b.test"], declared=False) is None
        draft.close()
    assert files_in(tmp_path) == set()
