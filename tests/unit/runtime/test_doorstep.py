"""The doorstep: who opens TCP and stays silent is in nobody's way; real sockets, real TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import cast

import pytest

from onemachine.certificates import Certificates, certificates
from posthouse.mail.networks import USUAL, Breadth
from posthouse.runtime.doorstep import Doorstep, Manners, Room
from posthouse.telemetry.metrics import exposition

FOR_EVER = timedelta(hours=1)
ROOM = Room(guests=5, guests_per_client=3, gives_way_after=FOR_EVER, ends_after=FOR_EVER)
EVE, BERT, ANNA = "127.0.0.1", "127.0.0.2", "127.0.0.3"


class Echo(asyncio.Protocol):
    """Says hello, then what it hears."""

    def __init__(self, client: str | None) -> None:
        self.client = client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        assert transport.get_extra_info("ssl_object").version()
        self.transport.write(b"hello\n")

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


@dataclass
class House:
    doorstep: Doorstep
    port: int
    trust: ssl.SSLContext
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def come(self, client: str, *, silent: bool = False) -> asyncio.StreamReader:
        """Open TCP as ``client``, and shake hands unless ``silent``."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, local_addr=(client, 0), ssl=None if silent else self.trust,
            server_hostname=None if silent else "localhost",
        )  # fmt: skip
        self.writers.append(writer)
        return reader

    async def stay_silent(self, *clients: str) -> list[asyncio.StreamReader]:
        """Have these clients come and say nothing, one after the other."""
        readers = []
        for client in clients:
            expected = self.doorstep.count + 1
            readers.append(await self.come(client, silent=True))
            await self.until(lambda expected=expected: self.doorstep.count == expected)  # type: ignore[misc]
        return readers

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - of the doorstep, which tells nobody
                await asyncio.sleep(0.001)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("tls"), ["localhost"])


@asynccontextmanager
async def house(
    files: Certificates, room: Room = ROOM, breadth: Breadth = USUAL
) -> AsyncIterator[House]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.chain, files.key)
    doorstep = Doorstep(Echo, Manners(context=context, room=room, breadth=breadth))
    server = await asyncio.get_running_loop().create_server(doorstep.newcomer, "127.0.0.1", 0)
    trust = ssl.create_default_context(cafile=files.authority)
    opened = House(doorstep, server.sockets[0].getsockname()[1], trust)
    try:
        yield opened
    finally:
        server.close()
        await doorstep.close()
        for writer in opened.writers:
            writer.transport.abort()
        await asyncio.sleep(0.01)  # transports that were aborted close in the loop's next turns


async def _is_hung_up_on(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(5):
        try:
            return await reader.read() == b""
        except ConnectionError:
            return True


def _total(outcome: str) -> float:
    for line in exposition().decode().splitlines():
        if line.startswith(f'posthouse_tls_handshakes_total{{outcome="{outcome}"}}'):
            return float(line.rpartition(" ")[2])
    return 0.0


async def test_hands_are_shaken_and_what_comes_with_it_is_not_lost(files: Certificates) -> None:
    async with house(files) as door:
        done = _total("done")
        for _ in range(20):
            reader = await door.come(ANNA)
            door.writers[-1].write(b"at once\n")
            assert await reader.readline() == b"hello\n"
            assert await reader.readline() == b"at once\n"

        assert door.doorstep.count == 0
        assert _total("done") == done + 20


async def test_silent_clients_are_bounded_each_and_all_together(files: Certificates) -> None:
    async with house(files) as door:
        session = await door.come(ANNA)
        assert await session.readline() == b"hello\n"
        refused = _total("refused")

        await door.stay_silent(EVE, EVE, EVE)
        assert await _is_hung_up_on(await door.come(EVE, silent=True))
        assert door.doorstep.count == 3
        assert await (await door.come(BERT)).readline() == b"hello\n"
        await door.stay_silent(BERT, BERT)
        assert await _is_hung_up_on(await door.come(ANNA, silent=True))

        assert door.doorstep.count == ROOM.guests
        assert _total("refused") == refused + 2
        door.writers[0].write(b"still here\n")
        assert await session.readline() == b"still here\n"


async def test_neighbours_are_one_client_if_the_operator_says_so(files: Certificates) -> None:
    async with house(files, breadth=Breadth(ipv4_bits=24)) as door:
        await door.stay_silent(EVE, BERT, EVE)

        assert await _is_hung_up_on(await door.come(ANNA, silent=True))


async def test_who_is_silent_for_longest_gives_way(files: Certificates) -> None:
    async with house(files, replace(ROOM, gives_way_after=timedelta())) as door:
        crowded_out = _total("crowded_out")
        first, *others = await door.stay_silent(EVE, EVE, BERT, BERT, BERT)

        assert await (await door.come(ANNA)).readline() == b"hello\n"
        assert await _is_hung_up_on(first)
        third = await door.come(BERT, silent=True)
        assert await _is_hung_up_on(others[1])

        assert _total("crowded_out") == crowded_out + 2
        assert door.doorstep.count == 4
        assert not others[0].at_eof()
        assert not third.at_eof()


async def test_a_handshake_ends_however_much_room_there_is(files: Certificates) -> None:
    async with house(files, replace(ROOM, ends_after=timedelta(seconds=0.05))) as door:
        failed = _total("failed")

        assert await _is_hung_up_on(await door.come(EVE, silent=True))
        await door.until(lambda: door.doorstep.count == 0)

        assert _total("failed") == failed + 1


async def test_who_speaks_no_tls_or_goes_leaves_the_place_free(files: Certificates) -> None:
    async with house(files) as door:
        for words in (b"EHLO me\r\n", None):
            reader, *_ = await door.stay_silent(EVE)
            if words:
                door.writers[-1].write(words)
                assert await reader.read(1) in {b"", b"\x15"}  # a TLS alert
            else:
                door.writers[-1].transport.abort()
            await door.until(lambda: door.doorstep.count == 0)


async def test_at_the_end_everybody_is_hung_up_on(files: Certificates) -> None:
    async with house(files) as door:
        readers = await door.stay_silent(EVE, EVE, BERT)

        await door.doorstep.close()

        assert all([await _is_hung_up_on(reader) for reader in readers])
        assert door.doorstep.count == 0
        assert await _is_hung_up_on(await door.come(ANNA, silent=True))
