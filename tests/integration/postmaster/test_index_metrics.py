"""How far the indexer is behind, as its gauges tell while mail comes in and turns are taken."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from posthouse.storage import indexing
from posthouse.storage.pool import Pool
from postmaster.indexing import turns
from postmaster.indexing.offering import tell_backlog
from support.imap import add_reader, gateway
from support.indexing import due, indexer

pytestmark = pytest.mark.integration

_AGE = "update unindexed set since = now() - make_interval(secs => $1)"
_OLD = "update searchers set since = now() - interval '1 hour'"


async def told(pool: Pool) -> tuple[float, float, float]:
    """Return what waits, since when, and the share that does not."""
    await pool.execute("analyze contents")  # as autovacuum does by itself
    await tell_backlog(pool)
    names = ("waiting", "lag_seconds", "coverage_ratio")
    waiting, lag, coverage = (
        REGISTRY.get_sample_value(f"posthouse_index_{name}") or 0.0 for name in names
    )
    return waiting, lag, coverage


async def test_lag_and_coverage_follow_what_comes_and_what_is_done(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "MESSAGES_IN_A_TURN", 10)
    letters = [f"Subject: n{n}\r\n\r\nword{n}x\r\n".encode() for n in range(40)]
    account, other = await add_reader(pool), await add_reader(pool, "other")
    async with gateway(pool, tmp_path) as house, indexer(pool, house.house.blobs) as indexes:
        await house.deliver(other, *letters[:10])
        assert await told(pool) == (0, 0, 1)  # of nobody who searches

        await house.deliver(account, *letters[:30])
        await indexing.note_searcher(pool, account)
        await pool.execute(_OLD)
        waiting, lag, coverage = await told(pool)
        assert (waiting, coverage) == (30, 0.25)
        assert 3600 <= lag < 3700

        [work] = await due(pool)
        todo = await indexes.index(work)
        assert (await told(pool))[::2] == (20, 0.5)
        await house.deliver(account, *letters[30:])  # faster than the indexer
        assert (await told(pool))[::2] == (30, 0.4)

        while todo:
            todo += await indexes.index(todo.pop(0))
        assert await told(pool) == (0, 0, 1)
        await house.deliver(account, letters[0])
        await pool.execute(_AGE, 100.0)
        waiting, lag, coverage = await told(pool)
        assert (waiting, round(coverage, 4)) == (1, round(1 - 1 / 51, 4))
        assert 100 <= lag < 160
