"""Secrets that pods share: made once, whoever asks first."""

from __future__ import annotations

import asyncio

import pytest

from posthouse.storage.keyring import shared_secret
from posthouse.storage.pool import Pool

pytestmark = pytest.mark.integration


async def test_all_who_ask_get_the_same_secret(pool: Pool) -> None:
    found = await asyncio.gather(*(shared_secret(pool, "srs") for _ in range(8)))

    assert len(set(found)) == 1
    assert len(found[0]) == 32
    assert await shared_secret(pool, "another") != found[0]
