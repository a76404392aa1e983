"""The fixtures over real servers give what they promise."""

import httpx
import pytest

from posthouse.storage.pool import Pool, transaction
from support.servers import S3Store

pytestmark = pytest.mark.integration


def test_a_virtual_host_is_ones_own(broker_url: str, broker_api: str) -> None:
    name = broker_url.rsplit("/", 1)[1]

    hosts = httpx.get(f"{broker_api}/api/vhosts", auth=("guest", "guest")).json()

    assert name in {host["name"] for host in hosts}


def test_a_bucket_is_ones_own(s3_store: S3Store) -> None:
    assert s3_store.store.startswith("s3://test-")


async def test_a_database_is_migrated_and_empty(pool: Pool) -> None:
    async with transaction(pool) as tx:
        assert await tx.fetchval("select count(*) from envelopes") == 0
