"""A message's octets come in pieces, and what waits for a server takes little memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from delivery_remote.octets import KEPT_OCTETS, PIECE_OCTETS, open_octets
from posthouse.blobs import Blobs, open_blobs
from posthouse.mail.envelope import InboundRecipient, Remote
from posthouse.mail.errors import MissingObject
from posthouse.mail.ids import new_id

HEADER = b"Return-Path: <x@y.test>\r\nTLS-Required: No\r\nSubject: Hello\r\n\r\n"
MANY = 50


@pytest.fixture
async def blobs(tmp_path: Path) -> AsyncIterator[Blobs]:
    async with open_blobs(f"disk:{tmp_path}") as disk:
        yield disk


@pytest.fixture
def memory() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


async def _stored(blobs: Blobs, octets: bytes) -> Remote:
    envelope = Remote(
        id=new_id(),
        sender="anna@a.test",
        size=len(octets),
        domain="b.test",
        recipients=(InboundRecipient(n=0, address="bert@b.test"),),
    )
    await blobs.put(envelope.blob, octets)
    return envelope


@pytest.mark.parametrize(
    "size", [0, 100, KEPT_OCTETS, KEPT_OCTETS + 1, PIECE_OCTETS, 2 * PIECE_OCTETS + 1]
)
async def test_all_octets_come_as_often_as_they_are_wanted(blobs: Blobs, size: int) -> None:
    octets = HEADER + bytes(n % 251 for n in range(size))
    opened = await open_octets(blobs, await _stored(blobs, octets))

    for _ in range(2):
        pieces = [piece async for piece in opened.pieces()]
        assert b"".join(pieces) == octets.partition(b"\r\n")[2]
        assert max(map(len, pieces)) <= PIECE_OCTETS
    assert opened.has_plain_header
    assert opened.waives_tls


@pytest.mark.usefixtures("memory")
async def test_large_messages_that_wait_for_a_server_take_little_memory(blobs: Blobs) -> None:
    envelope = await _stored(blobs, HEADER + b"x" * 2 * PIECE_OCTETS)
    before, _ = tracemalloc.get_traced_memory()

    waiting = [await open_octets(blobs, envelope) for _ in range(MANY)]

    after, _ = tracemalloc.get_traced_memory()
    assert len(waiting) == MANY
    assert after - before < MANY * KEPT_OCTETS


async def test_a_message_that_goes_meanwhile_is_missing(blobs: Blobs) -> None:
    envelope = await _stored(blobs, HEADER + b"x" * PIECE_OCTETS)
    opened = await open_octets(blobs, envelope)
    await blobs.delete([envelope.blob])

    with pytest.raises(MissingObject):
        _ = [piece async for piece in opened.pieces()]
