"""``python -m imap_gateway.searching.apart``: threads of very many messages, built in a process of its own.

A thread would not do: sorting a million of anything holds the interpreter, and with it every session.
What goes in is arrays and the pages of `posthouse.storage.ordering`, what comes out is the response.
"""

from __future__ import annotations

import asyncio
import gc
import os
import struct
import sys
from array import array
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import BinaryIO, Final

from imap_gateway.view.threads import Threader, written
from posthouse.mail.errors import Unavailable
from posthouse.storage.ordering import unpack_members

_HEAD: Final = struct.Struct(">?I")  # by subject, messages
_LENGTH: Final = struct.Struct(">I")


def threads(
    uids: Sequence[int], numbers: Sequence[int], pages: Iterable[bytes], *, is_by_subject: bool
) -> bytes:
    """Return the threads of ``uids``, which are called ``numbers``; pages may have other messages."""
    number_of = dict(zip(uids, numbers, strict=True))
    threader = Threader()
    for page in pages:
        threader.add(member for member in unpack_members(page) if member.uid in number_of)
    tree = threader.by_subject() if is_by_subject else threader.by_references()
    return written(tree, [number_of[uid] for uid in threader.uids])


async def threads_apart(
    uids: array[int], numbers: array[int], pages: AsyncIterator[bytes], *, is_by_subject: bool
) -> bytes:
    """Return `threads`, made by another process; it is ended if nobody waits any more.

    Raises:
        Unavailable: If that process failed, or a page could not be read.
    """
    known = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "imap_gateway.searching.apart",
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        env=known,
    )
    try:
        if process.stdin is None or process.stdout is None:
            raise Unavailable("threads not built")
        process.stdin.write(_HEAD.pack(is_by_subject, len(uids)))
        process.stdin.write(uids.tobytes())
        process.stdin.write(numbers.tobytes())
        async for page in pages:
            process.stdin.write(_LENGTH.pack(len(page)) + page)
            await process.stdin.drain()
        process.stdin.close()
        text = await process.stdout.read()
        if await process.wait():
            raise Unavailable("threads not built", detail=f"worker ended: {process.returncode}")
    except ConnectionError as error:
        raise Unavailable("threads not built", detail=repr(error)) from error
    else:
        return text
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _pages(source: BinaryIO) -> Iterable[bytes]:
    while length := source.read(_LENGTH.size):
        yield source.read(_LENGTH.unpack(length)[0])


def main() -> None:
    """Do what stdin says."""
    gc.disable()  # it would look at millions of objects again and again, and all die with us
    source = sys.stdin.buffer
    is_by_subject, many = _HEAD.unpack(source.read(_HEAD.size))
    uids, numbers = array("I"), array("I")
    for column in (uids, numbers):
        column.frombytes(source.read(many * column.itemsize))
    sys.stdout.buffer.write(threads(uids, numbers, _pages(source), is_by_subject=is_by_subject))


if __name__ == "__main__":
    main()
