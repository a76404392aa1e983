"""Servers that speak TLS, one of each for a module; on uvloop as in the services."""

import asyncio
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import pytest
import pytest_asyncio
import uvloop

from onemachine.certificates import certificates
from onemachine.children import Registry
from onemachine.ports import LOOPBACK, free_ports
from onemachine.postgres import Postgres, reachable_home
from onemachine.rabbitmq import RabbitMQ, RabbitPorts
from support.encrypted import MISNAMED, NAME, Authorities, EncryptedBroker, EncryptedDatabase


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="module")
def authorities() -> Iterator[Authorities]:
    home = Path(tempfile.mkdtemp(prefix="posthouse-tls-"))
    yield Authorities(
        own=certificates(home / "own", [NAME]), other=certificates(home / "other", [NAME])
    )
    shutil.rmtree(home)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def encrypted_broker(authorities: Authorities) -> AsyncIterator[EncryptedBroker]:
    home, own = Path(tempfile.mkdtemp(prefix="posthouse-rabbit-")), authorities.own
    amqp, management, distribution, epmd, port = free_ports(5)
    (home / "conf.d").mkdir()
    (home / "conf.d" / "10-tls.conf").write_text(
        f"listeners.ssl.1 = {LOOPBACK}:{port}\n"
        f"listeners.ssl.2 = {MISNAMED}:{port}\n"
        f"ssl_options.cacertfile = {own.authority}\n"
        f"ssl_options.certfile = {own.chain}\n"
        f"ssl_options.keyfile = {own.key}\n"
        "ssl_options.verify = verify_none\n"
    )
    ports = RabbitPorts(amqp=amqp, management=management, distribution=distribution, epmd=epmd)
    password = secrets.token_hex(8)
    server = RabbitMQ(home=home, ports=ports, password=password, registry=Registry(home))
    try:
        await server.start()
        yield EncryptedBroker(server=server, port=port)
    finally:
        await server.stop()
        shutil.rmtree(home)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def encrypted_database(authorities: Authorities) -> AsyncIterator[EncryptedDatabase]:
    above = Path(tempfile.mkdtemp(prefix="posthouse-postgres-"))
    above.chmod(0o755)
    home = reachable_home(above / "postgres")
    home.mkdir(parents=True)
    shutil.copy(authorities.own.chain, home / "cert.pem")
    shutil.copy(authorities.own.key, home / "key.pem")
    if os.geteuid() == 0:  # the server runs with the rights of that user then
        shutil.chown(home / "key.pem", "postgres")
    server = Postgres(
        home=home,
        port=free_ports(1)[0],
        password=secrets.token_hex(8),
        registry=Registry(above),
        settings=(
            f"listen_addresses={LOOPBACK},{MISNAMED}",
            "ssl=on",
            f"ssl_cert_file={home / 'cert.pem'}",
            f"ssl_key_file={home / 'key.pem'}",
        ),
    )
    try:
        await server.start()
        yield EncryptedDatabase(server=server)
    finally:
        await server.stop()
        shutil.rmtree(home.parent, ignore_errors=True)
        shutil.rmtree(above, ignore_errors=True)
