"""What a session writes leaves together, but neither late nor in heaps."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterable
from typing import cast

import pytest

from imap_gateway.errors import ConnectionLost
from imap_gateway.wire.outlet import GATHERED_OCTETS, TURN, Outlet


class Line:
    """A transport: what left, write by write."""

    def __init__(self) -> None:
        self.left: list[bytes] = []

    def set_write_buffer_limits(self, high: int) -> None:
        self.high = high

    def is_closing(self) -> bool:
        return False

    def writelines(self, pieces: Iterable[bytes]) -> None:
        self.left.append(b"".join(pieces))


class Hours:
    """A clock that is put forward by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def outlet_on(line: Line, clock: Hours | None = None) -> Outlet:
    outlet = Outlet(clock or Hours())
    outlet.attach(cast("asyncio.WriteTransport", line))
    outlet.begin_turn()
    return outlet


async def test_what_a_session_writes_leaves_in_one_piece() -> None:
    line = Line()
    outlet = outlet_on(line)

    outlet.write(b"* 1 FETCH (UID 1)\r\n")
    await outlet.drain()
    outlet.write(b"")
    outlet.write(b"a OK done\r\n")
    assert line.left == []
    outlet.flush()
    outlet.flush()

    assert line.left == [b"* 1 FETCH (UID 1)\r\na OK done\r\n"]


async def test_much_leaves_at_once_and_the_rest_when_the_turn_is_over() -> None:
    line, clock = Line(), Hours()
    outlet = outlet_on(line, clock)

    outlet.write(b"x")
    outlet.write(bytes(GATHERED_OCTETS))
    assert [len(each) for each in line.left] == [GATHERED_OCTETS + 1]
    outlet.write(b"y")
    clock.now += 2 * TURN.total_seconds()
    await outlet.drain()

    assert line.left[1:] == [b"y"]


async def test_a_slow_client_has_what_was_written_before_it_is_waited_for() -> None:
    line = Line()
    outlet = outlet_on(line)
    outlet.pause()
    outlet.write(b"y")

    waiting = asyncio.create_task(outlet.drain())
    await asyncio.sleep(0)
    assert line.left == [b"y"]
    outlet.lose()

    with pytest.raises(ConnectionLost):
        await waiting


async def test_what_was_written_before_it_compresses_leaves_before_it() -> None:
    line = Line()
    outlet = outlet_on(line)

    outlet.write(b"a OK\r\n")
    outlet.begin_deflating()
    outlet.write(b"b OK\r\n")
    outlet.flush()

    [octets] = line.left
    assert octets.startswith(b"a OK\r\n")
    assert zlib.decompressobj(wbits=-15).decompress(octets[6:]) == b"b OK\r\n"
