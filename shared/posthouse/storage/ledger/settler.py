"""The way of results into the ledger: many deliveries end at the same time, few commits."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from posthouse.storage.ledger.grouping import GroupCommit
from posthouse.storage.ledger.settling import Settled, Settlement, settle_all
from posthouse.storage.pool import Pool
from posthouse.telemetry import metrics

_RESULTS = metrics.counter("posthouse_ledger_settled_total", "Results committed to the ledger.")
_COMMITS = metrics.counter("posthouse_ledger_settle_commits_total", "Commits that carried them.")


class Settler(GroupCommit[Settlement, Settled]):
    """Brings results to the ledger; use it as a context manager around the consumers."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(self._settle, is_wanted_by_caller=False)
        self._pool = pool

    async def settle(self, settlement: Settlement) -> Settled:
        """Return what ``settlement`` has changed, after the commit; see `settling.settle`.

        Raises `Unavailable` when the commit was not confirmed: repeat it.
        """
        return await self.submit(settlement)

    async def _settle(self, settlements: Sequence[Settlement]) -> Sequence[Settled]:
        results: dict[int, Settled] = {}
        for part in _apart(settlements):
            settled = await settle_all(self._pool, [settlements[at] for at in part])
            results.update(zip(part, settled, strict=True))
            _COMMITS.inc()
        _RESULTS.inc(len(settlements))
        return [results[at] for at in range(len(settlements))]


def _apart(settlements: Sequence[Settlement]) -> list[list[int]]:
    """Return the places in parts that have no recipient twice; nearly always one part."""
    parts: list[list[int]] = []
    taken: list[set[tuple[UUID, int]]] = []
    for place, settlement in enumerate(settlements):
        rows = {(settlement.id, outcome.n) for outcome in settlement.outcomes}
        at = next((at for at, has in enumerate(taken) if not has & rows), len(parts))
        if at == len(parts):
            parts.append([])
            taken.append(set())
        parts[at].append(place)
        taken[at] |= rows
    return parts
