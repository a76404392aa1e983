"""What is written in one turn of the loop leaves in one segment, and nothing is left behind."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from aio_pika.exceptions import AMQPConnectionError
from yarl import URL

from posthouse.bus.transport import MAX_GATHERED_OCTETS, GatheringConnection, GatheringWriter


class Wire(asyncio.Transport):
    """A transport in the hands of the test."""

    def __init__(self) -> None:
        super().__init__()
        self.segments: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed
        self.segments.append(bytes(data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.segments.append(b"EOF")

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
async def writer(wire: Wire) -> AsyncIterator[GatheringWriter]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    opened = GatheringWriter(wire, protocol, reader, loop)
    yield opened
    opened.close()


async def test_one_turn_is_one_segment(writer: GatheringWriter, wire: Wire) -> None:
    for n in range(3):
        writer.write(b"%d" % n)
    before = list(wire.segments)
    await asyncio.sleep(0)
    writer.write(b"3")
    await asyncio.sleep(0)

    assert before == []
    assert wire.segments == [b"012", b"3"]


async def test_much_is_not_kept_back(writer: GatheringWriter, wire: Wire) -> None:
    writer.write(bytes(MAX_GATHERED_OCTETS + 1))

    assert [len(segment) for segment in wire.segments] == [MAX_GATHERED_OCTETS + 1]


async def test_draining_and_closing_write_what_has_gathered(
    writer: GatheringWriter, wire: Wire
) -> None:
    writer.write(b"a")
    await writer.drain()
    writer.write(b"b")
    writer.write_eof()
    writer.write(b"c")
    writer.close()
    await asyncio.sleep(0)

    assert wire.segments == [b"a", b"b", b"EOF", b"c"]
    assert wire.closed


async def test_after_the_end_nothing_is_written(writer: GatheringWriter, wire: Wire) -> None:
    writer.write(b"a")
    wire.close()  # lost
    writer.close()

    assert wire.segments == []


async def test_a_connection_that_fails_is_closed_and_not_left_to_the_collector() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # never listens
        port = nobody.getsockname()[1]
        connection = GatheringConnection(URL(f"amqp://guest:guest@127.0.0.1:{port}/"))

        with pytest.raises(AMQPConnectionError):
            await connection.connect(timeout=5)

    assert connection.is_closed
