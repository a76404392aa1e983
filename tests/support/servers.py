"""Fixtures over the real servers: each test has its own database, virtual host and bucket.

The servers themselves are started by ``make test`` (or by hand) and named in the environment; a
test that needs one which is not named fails and says so: a suite that skips proves nothing.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
import pytest

from onemachine.buckets import S3Access, create_bucket, delete_bucket
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


def _run(work: Coroutine[None, None, None]) -> None:
    """Run ``work`` to its end on a loop of its own, away from the loop of the tests."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(asyncio.run, work).result()


async def _execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url, timeout=_TIMEOUT_SECONDS)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def _template() -> Iterator[str]:
    """The name of a migrated database, which every test copies: some milliseconds each."""
    server, name = needed("POSTHOUSE_TEST_POSTGRES"), f"template_{secrets.token_hex(6)}"

    async def make() -> None:
        await _execute(server, f"create database {name}")
        await migrate(_with_path(server, name))

    _run(make())
    yield name
    _run(_execute(server, f"drop database if exists {name} with (force)"))


@pytest.fixture
async def postgres_url(_template: str) -> AsyncIterator[str]:
    """A migrated, empty database of this test alone."""
    server, name = needed("POSTHOUSE_TEST_POSTGRES"), f"test_{secrets.token_hex(6)}"
    await _execute(server, f"create database {name} template {_template}")
    yield _with_path(server, name)
    await _execute(server, f"drop database if exists {name} with (force)")


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
        base_url=broker_api, auth=(user, password), timeout=_TIMEOUT_SECONDS
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
