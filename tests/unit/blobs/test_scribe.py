"""A process of its own writes objects: with the promises of the thread, and over its own end."""

from __future__ import annotations

import asyncio
import os
import secrets
import select
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from posthouse.blobs import open_blobs
from posthouse.durable.files import JOURNALED_OCTETS
from posthouse.durable.journal import JOURNAL
from posthouse.mail.errors import Unavailable

# Puts objects, says so, and waits to be killed.
SERVICE = """
import asyncio, sys
from posthouse.blobs import open_blobs

async def main():
    async with open_blobs("disk:" + sys.argv[1], writes_apart=True) as blobs:
        for n in range(20):
            await blobs.put(f"mail/{n}.eml", b"%d" % n * 100)
        print("stored", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def scribes(root: Path) -> list[int]:
    """Return the processes that write for somebody into ``root``."""
    wanted = [b"posthouse.durable.scribe", os.fsencode(root)]
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            continue
        if all(word in words for word in wanted):
            found.append(int(folder.name))
    return found


def one_that_begins(root: Path) -> int:
    """Wait for the process that writes into ``root``."""
    while not (begun := scribes(root)):
        time.sleep(0.01)
    return begun[0]


def journals(root: Path) -> list[str]:
    return [path.name for path in (root / JOURNAL).iterdir() if path.name != "lock"]


async def test_many_objects_of_all_sizes_are_there_when_it_was_said(tmp_path: Path) -> None:
    sizes = [0, 1, 4096, JOURNALED_OCTETS, JOURNALED_OCTETS + 1, 3_000_000] + [50_000] * 200
    octets = {f"mail/{n}.eml": secrets.token_bytes(size) for n, size in enumerate(sizes)}

    async with open_blobs(f"disk:{tmp_path}", writes_apart=True) as blobs:
        begun = [blobs.begin(key, value) for key, value in octets.items()]
        for one, (key, value) in zip(begun, octets.items(), strict=True):
            await one
            assert await blobs.get(key) == value
        assert len(journals(tmp_path)) == 1

    assert journals(tmp_path) == []
    assert scribes(tmp_path) == []


async def test_a_fault_concerns_one_object(tmp_path: Path) -> None:
    (tmp_path / "mail" / "taken.eml").mkdir(parents=True)
    async with open_blobs(f"disk:{tmp_path}", writes_apart=True) as blobs:
        begun = [blobs.begin(f"mail/{name}.eml", b"x") for name in ("a", "taken", "b")]
        ends = await asyncio.gather(*begun, return_exceptions=True)

        assert [type(end) for end in ends] == [type(None), Unavailable, type(None)]
        assert await blobs.get("mail/b.eml") == b"x"


async def test_what_nobody_waits_for_harms_nobody(tmp_path: Path) -> None:
    (tmp_path / "mail" / "taken.eml").mkdir(parents=True)
    async with open_blobs(f"disk:{tmp_path}", writes_apart=True) as blobs:
        begun = [blobs.begin(f"mail/{name}.eml", b"x") for name in ("taken", "a")]
        begun[1].cancel()
        del begun
        await blobs.put("mail/b.eml", b"x")


async def test_what_goes_wrong_elsewhere_is_told_as_it_is(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_blobs(f"disk:{tmp_path}", writes_apart=True) as blobs:
            await blobs.put("mail/a.eml", b"x")
            raise LookupError

    with pytest.raises(LookupError):
        await work()

    assert journals(tmp_path) == []
    assert scribes(tmp_path) == []


async def test_what_was_begun_is_written_before_the_end(tmp_path: Path) -> None:
    async with open_blobs(f"disk:{tmp_path}", writes_apart=True) as blobs:
        begun = [blobs.begin(f"mail/{n}.eml", bytes(1024 * 1024)) for n in range(8)]

    assert [one.exception() for one in begun] == [None] * 8
    assert len(list((tmp_path / "mail").iterdir())) == 8


async def test_where_none_can_be_started_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    async with open_blobs(f"disk:{tmp_path}", writes_apart=True) as blobs:
        for _ in range(2):
            with pytest.raises(Unavailable, match=r"has ended|again and again"):
                await blobs.put("mail/a.eml", b"x")


async def test_one_that_hangs_at_the_end_is_killed(tmp_path: Path) -> None:
    async with open_blobs(f"disk:{tmp_path}?timeout=0.5", writes_apart=True):
        os.kill(await asyncio.to_thread(one_that_begins, tmp_path), signal.SIGSTOP)

    assert scribes(tmp_path) == []


async def test_who_is_killed_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_blobs(f"disk:{tmp_path}", writes_apart=True) as blobs:
        await blobs.put("mail/before.eml", b"x")
        [first] = scribes(tmp_path)
        os.kill(first, signal.SIGSTOP)
        begun = blobs.begin("mail/lost.eml", b"x")
        os.kill(first, signal.SIGKILL)
        with pytest.raises(Unavailable, match="has ended"):  # at once, not when it is late
            await begun

        monkeypatch.setattr("posthouse.blobs.writing.AGAIN", timedelta(hours=1))
        with pytest.raises(Unavailable):  # one that ends again and again is not started each time
            await blobs.put("mail/early.eml", b"x")
        monkeypatch.setattr("posthouse.blobs.writing.AGAIN", timedelta(0))
        await blobs.put("mail/after.eml", b"x")

        assert await blobs.get("mail/after.eml") == await blobs.get("mail/before.eml") == b"x"
        assert scribes(tmp_path) != [first]
        assert len(journals(tmp_path)) == 1  # what the first one left behind is cleared away


def test_it_outlives_a_signal_to_all_and_ends_with_its_service(tmp_path: Path) -> None:
    service = subprocess.Popen(
        [sys.executable, "-c", SERVICE, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with service:
        assert service.stdout is not None
        assert service.stdout.readline() == "stored\n"
        [scribe] = scribes(tmp_path)
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(scribe, number)
        assert scribes(tmp_path) == [scribe]

        descriptor = os.pidfd_open(scribe)
        service.kill()
    ended, _, _ = select.select([descriptor], [], [], 30)
    os.close(descriptor)
    assert ended
    assert journals(tmp_path) == []
