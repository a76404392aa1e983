"""A directory for each module; on uvloop as in the services."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest_asyncio
import uvloop

from onemachine.certificates import certificates
from onemachine.ports import free_ports
from support.slapd import Slapd

PEOPLE = (
    ("anna", "anna@example.test", "annas secret"),
    ("bert", "bert@example.test", "pässwörter"),
    ("odd)(uid=*", "odd@example.test", "odd"),
    ("twin1", "twins@example.test", "same"),
    ("twin2", "twins@example.test", "same"),
    ("stranger", "stranger@elsewhere.test", "strange"),
)


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def slapd() -> AsyncIterator[Slapd]:
    home = Path(tempfile.mkdtemp(prefix="posthouse-ldap-"))
    plain, tls = free_ports(2)
    server = Slapd(
        home=home,
        plain_port=plain,
        tls_port=tls,
        certificates=certificates(home / "tls", ["localhost"]),
        people=PEOPLE,
    )
    try:
        await server.start()
        yield server
    finally:
        await server.stop()
        shutil.rmtree(home)
