"""A response of megabytes leaves in pieces, and nothing comes between them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import cast

from imap_gateway.client import Client
from imap_gateway.long_lines import PIECE_OCTETS, write_line
from imap_gateway.progress import Progress

EVERY = timedelta(milliseconds=1)


@dataclass
class SlowWire:
    """A client that takes each piece only when the timer would have spoken several times."""

    said: list[bytes] = field(default_factory=list)

    def write(self, octets: bytes) -> None:
        self.said.append(octets)

    write_now = write

    async def drain(self) -> None:
        await asyncio.sleep(5 * EVERY.total_seconds())


def a_client(wire: SlowWire) -> Client:
    return cast("Client", SimpleNamespace(wire=wire, progress=None, tag=b"a", is_amid_line=False))


async def test_no_sign_of_life_comes_amid_a_line() -> None:
    wire = SlowWire()
    client = a_client(wire)
    with Progress(client, EVERY):
        await write_line(client, [b"SEARCH", b" 1" * PIECE_OCTETS, b""])
        end = wire.said.index(b"\r\n")

    assert b"".join(wire.said[: end + 1]) == b"* SEARCH" + b" 1" * PIECE_OCTETS + b"\r\n"
    assert max(map(len, wire.said[: end + 1])) <= PIECE_OCTETS + len(b"* ")


async def test_signs_of_life_go_on_behind_it() -> None:
    wire = SlowWire()
    client = a_client(wire)
    with Progress(client, EVERY):
        await write_line(client, [b"SEARCH 1"])
        before = len(wire.said)
        await wire.drain()

    assert len(wire.said) > before
