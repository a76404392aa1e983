"""What is stored for a login opens IMAP and POP3 alike, on real sockets and a real PostgreSQL."""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest

from posthouse.credentials import app_passwords
from posthouse.credentials.passwords import Wanted, make_secrets
from posthouse.runtime.logins import keys_of
from posthouse.runtime.tls_exporter import exported
from posthouse.storage import directory
from posthouse.storage.pool import Pool
from support import imap, pop3
from support.filings import add_accounts
from support.logins import ScramClient

pytestmark = pytest.mark.integration

ANNA = "anna@example.test"
WORD = "pässword of anna"
Answer: TypeAlias = Callable[[bytes], bytes]


@dataclass
class Door:
    """A session with one of the gateways, up to its login.

    Attributes:
        authenticate: What the mechanism stands behind.
        yes: How it says that somebody is in.
    """

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    authenticate: str
    yes: str

    @property
    def binding(self) -> bytes:
        return exported(self.writer.get_extra_info("ssl_object")) or b""

    async def hear(self) -> str:
        async with asyncio.timeout(20):
            return (await self.reader.readline()).decode().rstrip("\r\n")

    async def log_in(self, mechanism: str, *answers: Answer) -> str:
        """Answer the challenges; return the line at the end."""
        self.writer.write(f"{self.authenticate} {mechanism}\r\n".encode())
        line = await self.hear()
        for answer in answers:
            assert line.startswith("+ "), line
            self.writer.write(b64encode(answer(b64decode(line[2:]))) + b"\r\n")
            line = await self.hear()
        return line


Opening: TypeAlias = Callable[[], Awaitable[Door]]


@pytest.fixture(params=["imap", "pop3"])
async def door(
    request: pytest.FixtureRequest, pool: Pool, tmp_path: Path
) -> AsyncIterator[Opening]:
    """Return what opens sessions over TLS, with anna's account behind them."""
    await add_accounts(pool, "anna")
    made = make_secrets(WORD, Wanted())
    await directory.set_password(pool, ANNA, made.password_hash, keys_of(made))
    async with AsyncExitStack() as stack:
        if request.param == "imap":
            gateway = await stack.enter_async_context(imap.gateway(pool, tmp_path))
            address, trust = ("127.0.0.1", gateway.ports[1]), gateway.trust
            words = ("a1 AUTHENTICATE", "a1 OK ")
        else:
            other = await stack.enter_async_context(pop3.gateway(pool, tmp_path))
            address, trust = other.listener.addresses[1], other.trust
            words = ("AUTH", "+OK ")

        async def opened() -> Door:
            door = Door(*await _connected(address, trust), *words)
            stack.callback(door.writer.close)
            await door.hear()
            return door

        yield opened


async def _connected(
    address: tuple[str, int], trust: ssl.SSLContext
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(*address, ssl=trust, server_hostname="localhost")


def scram(client: ScramClient) -> tuple[Answer, Answer, Answer]:
    """Return the client's answers; it hangs on to what it was told."""
    return (
        lambda _: client.first(),
        client.final,
        lambda told: b"" if told == client.signature else b"who are you?",
    )


async def test_keys_let_in_bound_to_the_channel(door: Opening) -> None:
    session = await door()
    client = ScramClient(ANNA, WORD, header="p=tls-exporter,,", binding=session.binding)

    assert (await session.log_in("SCRAM-SHA-256-PLUS", *scram(client))).startswith(session.yes)


async def test_keys_let_in_without_a_binding(door: Opening) -> None:
    session = await door()

    end = await session.log_in("SCRAM-SHA-256", *scram(ScramClient(ANNA, WORD)))
    assert end.startswith(session.yes)


def noting(heard: list[str], final: Answer) -> Answer:
    """Return ``final``, which notes salt and iterations."""

    def answer(told: bytes) -> bytes:
        heard.extend(told.decode().split(",")[1:])
        return final(told)

    return answer


async def test_who_does_not_exist_is_asked_as_everybody_is(door: Opening) -> None:
    """Until the proof there is nothing to see; then both are wrong in the same words."""
    told: dict[str, list[str]] = {}
    for user in (ANNA, "nobody@example.test", "nobody@example.test"):
        session = await door()
        client = ScramClient(user, "guess")
        first, final, _ = scram(client)
        heard: list[str] = []
        end = await session.log_in("SCRAM-SHA-256", first, noting(heard, final))
        if user in told:
            assert told[user] == [*heard, end]
        told[user] = [*heard, end]
    mine, nobodys = told.values()
    assert mine[1:] == nobodys[1:]
    assert len(mine[0]) == len(nobodys[0])
    assert mine[0] != nobodys[0]


async def test_a_device_is_let_in_with_its_own_password(door: Opening, pool: Pool) -> None:
    made = app_passwords.make()
    await directory.add_app_password(pool, ANNA, "phone", app_passwords.digest(made) or b"")
    session = await door()

    end = await session.log_in("PLAIN", lambda _: f"\0{ANNA}\0{made.upper()}".encode())

    assert end.startswith(session.yes)
    [device] = await directory.app_passwords(pool, ANNA)
    assert device.last_client == "127.0.0.1"
    assert device.last_service in {"imap", "pop"}
