"""Fixtures over the real servers: each test has its own database, virtual host and bucket.

The servers themselves are started by ``make test`` (or by hand) and named in the environment; a
test that needs one which is not named fails and says so: a suite that skips proves nothing.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
import pytest

from onemachine.buckets import S3Access, create_bucket, delete_bucket
from onemachine.ready import NO_TLS
from posthouse.storage.migrate import migrate
from posthouse.storage.pool import Pool, open_pool

_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Store:
    """A bucket of its own: the value of POSTHOUSE_STORE, and the keys that open it."""

    store: str
    access_key: str
    secret_key: str


def needed(name: str) -> str:
    """Return the environment variable ``name``, or fail the test in words that help."""
    value = os.environ.get(name)
    if not value:
        pytest.fail(
            f"{name} is not set: this test needs real servers; `make test` and "
            "`make integration` start them",
            pytrace=False,
        )
    return value


def _with_path(url: str, path: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=path))


async def _execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url, timeout=_TIMEOUT_SECONDS)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


class _Databases:
    """Copies of one migrated database: the next one is made while a test uses the last one."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._thread = ThreadPoolExecutor(1, "databases")  # with a loop of its own each time
        self._template = f"template_{secrets.token_hex(6)}"
        self._thread.submit(asyncio.run, self._make_template()).result()
        self._next = self._thread.submit(asyncio.run, self._make())

    async def take(self) -> str:
        """Return the address of an empty database."""
        made = await asyncio.wrap_future(self._next)
        self._next = self._thread.submit(asyncio.run, self._make())
        return made

    def give_back(self, url: str) -> None:
        """Drop it, sometime."""
        self._thread.submit(asyncio.run, self._drop(urlsplit(url).path[1:]))

    def close(self) -> None:
        """Leave nothing behind."""
        self.give_back(self._next.result())
        self._thread.submit(asyncio.run, self._drop(self._template)).result()
        self._thread.shutdown()

    async def _make_template(self) -> None:
        await _execute(self._server, f"create database {self._template}")
        await migrate(_with_path(self._server, self._template))

    async def _make(self) -> str:
        name = f"test_{secrets.token_hex(6)}"
        copy = f"create database {name} template {self._template} strategy file_copy"
        await _execute(self._server, copy)
        return _with_path(self._server, name)

    async def _drop(self, name: str) -> None:
        await _execute(self._server, f"drop database if exists {name} with (force)")


@pytest.fixture(scope="session")
def _databases() -> Iterator[_Databases]:
    databases = _Databases(needed("POSTHOUSE_TEST_POSTGRES"))
    yield databases
    databases.close()


@pytest.fixture
async def postgres_url(_databases: _Databases) -> AsyncIterator[str]:
    """A migrated, empty database of this test alone."""
    url = await _databases.take()
    yield url
    _databases.give_back(url)


@pytest.fixture
async def pool(postgres_url: str) -> AsyncIterator[Pool]:
    """A pool on the database of this test."""
    async with open_pool(postgres_url) as opened:
        yield opened


@pytest.fixture
def broker_api() -> str:
    """The address of RabbitMQ's management API, without credentials."""
    return needed("POSTHOUSE_TEST_BROKER_API")


@pytest.fixture
def broker_url(broker_api: str) -> Iterator[str]:
    """A virtual host of this test alone; its queues go with it."""
    url, name = needed("POSTHOUSE_TEST_BROKER"), f"test-{secrets.token_hex(6)}"
    parts = urlsplit(url)
    user, password = parts.username or "guest", parts.password or "guest"
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    with httpx.Client(
        base_url=broker_api, auth=(user, password), timeout=_TIMEOUT_SECONDS, verify=NO_TLS
    ) as management:
        management.put(f"/api/vhosts/{name}").raise_for_status()
        management.put(f"/api/permissions/{name}/{user}", json=everything).raise_for_status()
        yield _with_path(url, f"/{name}")
        management.delete(f"/api/vhosts/{name}").raise_for_status()


@pytest.fixture
def s3_store() -> Iterator[S3Store]:
    """A bucket of this test alone."""
    access = S3Access(
        endpoint=needed("POSTHOUSE_TEST_S3"),
        access_key=needed("POSTHOUSE_TEST_S3_ACCESS_KEY"),
        secret_key=needed("POSTHOUSE_TEST_S3_SECRET_KEY"),
    )
    bucket = f"test-{secrets.token_hex(6)}"
    create_bucket(access, bucket)
    yield S3Store(
        store=access.store(bucket), access_key=access.access_key, secret_key=access.secret_key
    )
    delete_bucket(access, bucket)
