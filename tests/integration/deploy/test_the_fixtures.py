"""The fixtures over real servers give what they promise."""

import httpx
import pytest

from support.servers import S3Store

pytestmark = pytest.mark.integration


def test_a_virtual_host_is_ones_own(broker_url: str, broker_api: str) -> None:
    name = broker_url.rsplit("/", 1)[1]

    hosts = httpx.get(f"{broker_api}/api/vhosts", auth=("guest", "guest")).json()

    assert name in {host["name"] for host in hosts}


def test_a_bucket_is_ones_own(s3_store: S3Store) -> None:
    assert s3_store.store.startswith("s3://test-")
