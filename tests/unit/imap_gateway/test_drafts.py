"""What is put together or decoded takes its share of the spool, and gives it back."""

from __future__ import annotations

from pathlib import Path

import pytest

from imap_gateway.errors import Refusal
from imap_gateway.memory.budget import Budget
from imap_gateway.memory.drafts import HELD_OCTETS, Draft
from posthouse.runtime.spool import Spool

PIECE = bytes(HELD_OCTETS)


async def test_drafts_share_a_budget(tmp_path: Path) -> None:
    budget = Budget(5 * HELD_OCTETS)
    async with Spool(tmp_path) as spool:
        one, other = (Draft(spool, budget, 10 * HELD_OCTETS) for _ in range(2))
        for _ in range(4):
            await one.add(PIECE)
        await one.done()
        assert budget.held == 4 * HELD_OCTETS

        await other.add(PIECE)  # held in memory: nothing of the spool
        with pytest.raises(Refusal, match="Too many large messages"):
            await other.add(PIECE)
        one.close()
        one.close()
        assert budget.held == 0
        await other.add(PIECE)
        other.close()
    assert budget.held == 0
