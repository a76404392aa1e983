"""How many connections a client network, and an account from one network, may have at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import prometheus_client
import pytest

from posthouse.mail.networks import parse_networks
from posthouse.runtime.rate_settings import Clients, Turnstile
from posthouse.storage.pool import Pool
from support.imap import LIMITS, PASSWORD, Gateway, User, add_reader, gateway

pytestmark = pytest.mark.integration

HERE, THERE = "127.0.0.1", "127.0.0.2"  # two clients of one machine


def value_of(name: str, **labels: str) -> float:
    return prometheus_client.REGISTRY.get_sample_value(name, labels) or 0.0


async def a_client(imap: Gateway, address: str) -> User:
    streams = await asyncio.open_connection(HERE, imap.ports[0], local_addr=(address, 0))
    imap.users.append(User(*streams))
    return imap.users[-1]


async def someone_in(imap: Gateway, address: str) -> User:
    user = await a_client(imap, address)
    await user.login()
    return user


async def refused_at_login(imap: Gateway, address: str) -> bytes:
    user = await a_client(imap, address)
    await user.hear()
    return (await user.say(f'LOGIN anna@example.test "{PASSWORD}"'))[-1]


async def test_one_network_does_not_take_all_places(pool: Pool, tmp_path: Path) -> None:
    before = value_of("posthouse_imap_connections_ended_total", why="client")
    limits = replace(LIMITS, connections_per_client=2)
    async with gateway(pool, tmp_path, limits=limits) as imap:
        first, second = await a_client(imap, HERE), await a_client(imap, HERE)
        assert (await first.hear()).startswith(b"* OK")
        assert (await second.hear()).startswith(b"* OK")

        third = await a_client(imap, HERE)
        assert await third.hear() == b"* BYE Too many connections from your network"
        assert await third.reader.read() == b""
        other = await a_client(imap, THERE)
        assert (await other.hear()).startswith(b"* OK")

        await first.say("LOGOUT")
        again = await a_client(imap, HERE)
        assert (await again.hear()).startswith(b"* OK")
    assert value_of("posthouse_imap_connections_ended_total", why="client") == before + 1


async def test_an_account_has_so_many_sessions_from_one_network(pool: Pool, tmp_path: Path) -> None:
    before = value_of("posthouse_imap_logins_total", outcome="too many")
    await add_reader(pool)
    limits = replace(LIMITS, connections_per_account=3, connections_per_account_and_client=2)
    async with gateway(pool, tmp_path, limits=limits) as imap:
        first, _ = await someone_in(imap, HERE), await someone_in(imap, HERE)

        assert await refused_at_login(imap, HERE) == (
            b"NO [LIMIT] Too many connections of this account from your network"
        )
        elsewhere = await someone_in(imap, THERE)
        assert await refused_at_login(imap, THERE) == (
            b"NO [LIMIT] Too many connections of this account"
        )

        await first.say("LOGOUT")
        await elsewhere.say("LOGOUT")
        await someone_in(imap, HERE)
    assert not imap.house.guests
    assert value_of("posthouse_imap_logins_total", outcome="too many") == before + 2


async def test_a_webmail_that_is_exempt_is_no_client(pool: Pool, tmp_path: Path) -> None:
    await add_reader(pool)
    limits = replace(LIMITS, connections_per_client=1, connections_per_account_and_client=1)
    async with gateway(pool, tmp_path, limits=limits) as imap:
        exempt = Clients(exempt=parse_networks(THERE))
        imap.listener.house = replace(imap.house, turnstile=Turnstile(name=exempt.name))

        for _ in range(3):
            await someone_in(imap, THERE)
        await someone_in(imap, HERE)
        late = await a_client(imap, HERE)

        assert (await late.hear()).startswith(b"* BYE")
