"""The memory of decoded parts has its bounds, and closes no file that somebody reads."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from imap_gateway.memory.decodings import MAX_FACTS, Decodings, Facts
from posthouse.mime.decoding import QuotedPrintable
from posthouse.runtime.spool import Spool, SpoolFile

FACTS = Facts(size=1, has_nul=False, lines=None, decoder=QuotedPrintable)


def key(number: int) -> tuple[UUID, int, tuple[int, ...]]:
    return UUID(int=number), 0, (1,)


@pytest.fixture
async def spool(tmp_path: Path) -> AsyncIterator[Spool]:
    async with Spool(tmp_path) as opened:
        yield opened


async def made(spool: Spool, size: int) -> SpoolFile:
    file = await spool.create()
    await file.append(bytes(size))
    return file


def is_open(file: SpoolFile) -> bool:
    try:
        return os.fstat(file.descriptor).st_size == file.size
    except OSError:
        return False


async def test_the_longest_unused_file_goes(spool: Spool) -> None:
    decodings = Decodings(max_octets=30)
    first, second, third = [await made(spool, 11) for _ in range(3)]
    assert decodings.keep(key(1), first)
    assert decodings.keep(key(2), second)
    with decodings.lend(key(1)) as lent:
        assert lent is first
    assert decodings.keep(key(3), third)
    with decodings.lend(key(2)) as lent:
        assert lent is None
    assert [is_open(one) for one in (first, second, third)] == [True, False, True]


async def test_a_lent_file_stays_open_until_it_is_returned(spool: Spool) -> None:
    decodings = Decodings(max_octets=100, max_files=1)
    first = await made(spool, 10)
    decodings.keep(key(1), first)
    with decodings.lend(key(1)):
        decodings.keep(key(2), await made(spool, 10))
        assert is_open(first)
    assert not is_open(first)


async def test_what_is_too_large_or_here_already_is_not_taken(spool: Spool) -> None:
    decodings = Decodings(max_octets=10)
    assert not decodings.keep(key(1), await made(spool, 11))
    assert decodings.keep(key(1), await made(spool, 10))
    assert not decodings.keep(key(1), await made(spool, 10))


def test_facts_are_bounded_in_number() -> None:
    decodings = Decodings()
    for number in range(MAX_FACTS + 1):
        decodings.know(key(number), FACTS)
        assert decodings.facts(key(0)) is (FACTS if number < MAX_FACTS or number else None)
    assert decodings.facts(key(1)) is None
