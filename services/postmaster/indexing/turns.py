"""What a turn takes of each account, and how far the account is afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from typing import TypeAlias

from posthouse.storage.indexing import Standing, new_contents, older_contents
from posthouse.storage.pool import Queries

MESSAGES_IN_A_TURN = 200  # of all accounts of a work
LEAST_OF_AN_ACCOUNT = 4

Key: TypeAlias = tuple[int, int]  # account, content


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a turn is about.

    Attributes:
        keys: The messages, new ones first.
        older: Those of them that were found by looking, and stand nowhere.
        standings: How far the accounts are if all of that is done.
    """

    keys: tuple[Key, ...]
    older: frozenset[Key]
    standings: Mapping[int, Standing]

    def without(self, undone: Set[Key]) -> dict[int, Standing]:
        """Return how far the accounts are if these are not done."""
        standings = dict(self.standings)
        for account, content in undone:
            now = standings[account]
            below = max(now.below, content + 1) if (account, content) in self.older else now.below
            standings[account] = replace(now, below=below, has_more=True)
        return standings


async def plan(queries: Queries, accounts: Mapping[int, int]) -> Plan:
    """Choose what is done for ``accounts``, each with the content below which was not looked yet."""
    share = max(MESSAGES_IN_A_TURN // max(len(accounts), 1), LEAST_OF_AN_ACCOUNT)
    new = await new_contents(queries, list(accounts), share)
    many = Counter(account for account, _ in new)
    older: list[Key] = []
    standings: dict[int, Standing] = {}
    for account, start in accounts.items():
        room, below, looked = share - many[account], start, 0
        if below and room:
            found, below, looked = await older_contents(queries, account, start, room)
            older += [(account, content) for content in found]
        has_more = not room or below > 0
        standings[account] = Standing(below=below, looked=looked, has_more=has_more)
    known = set(new)
    return Plan(
        keys=(*new, *(key for key in older if key not in known)),
        older=frozenset(older),
        standings=standings,
    )
