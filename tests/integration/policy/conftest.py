"""Routing on a real ledger, with paper roads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from pathlib import Path

import pytest
import uvloop

from policy_engine.routing import Routing
from policy_engine.srs import Rewriter
from posthouse.blobs import open_blobs
from posthouse.runtime.bounces import Reporter
from posthouse.runtime.report_settings import language_of
from posthouse.runtime.spool import Spool
from posthouse.storage import directory
from posthouse.storage.pool import Pool
from posthouse.storage.suppressing import held_back
from support.late_judging import Scanner, judged_by
from support.routing import RETURNS, Post


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def post(pool: Pool, tmp_path: Path) -> AsyncIterator[Post]:
    for domain in ("example.test", "other.test"):
        await directory.add_domain(pool, domain)
    numbers = {}
    for address in ("anna@example.test", "bert@example.test"):
        numbers[address] = await directory.add_account(pool, address, "x", None)
    async with open_blobs(f"disk:{tmp_path}") as blobs, Spool(blobs.nearby) as spool:
        made = Post(pool=pool, blobs=blobs, accounts=numbers, spool=spool)
        made.routing = Routing(
            pool=pool,
            resolve=partial(directory.resolve, pool),
            lent=partial(directory.lent, pool),
            held_back=partial(held_back, pool),
            roads=made,
            outbox=made,
            reporter=Reporter(
                blobs=blobs, hostname="mx.example.test", language_of=partial(language_of, pool)
            ),
            rewriter=Rewriter(b"0123456789abcdef"),
            returns=RETURNS,
            feedback="fbl@example.test",
        )
        yield made


@pytest.fixture
def scanner(post: Post) -> Scanner:
    return judged_by(post)
