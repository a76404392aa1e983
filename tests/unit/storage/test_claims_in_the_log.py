"""Claims without PostgreSQL: told once, however often it is tried."""

from __future__ import annotations

import socket

import pytest
from structlog.testing import capture_logs

from posthouse.storage.ledger import claiming
from posthouse.storage.ledger.claiming import Claims
from posthouse.storage.pool import open_pool
from posthouse.telemetry.metrics import exposition
from support.roads import until


def losses() -> float:
    [line] = [
        line
        for line in exposition().decode().splitlines()
        if line.startswith("posthouse_ledger_claims_lost_total ")
    ]
    return float(line.split()[1])


async def test_many_attempts_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claiming, "FIRST_PAUSE_SECONDS", 0.001)
    with socket.socket() as taken:  # bound, but nobody listens: refused
        taken.bind(("127.0.0.1", 0))
        url = f"postgresql://nobody@127.0.0.1:{taken.getsockname()[1]}/none"
        before = losses()
        with capture_logs() as lines:
            async with open_pool(url) as pool, Claims(pool):
                await until(lambda: losses() >= before + 4, "it was tried")

    assert [line["event"] for line in lines] == ["claims lost"]
    assert "PostgreSQL" in lines[0]["reason"]
