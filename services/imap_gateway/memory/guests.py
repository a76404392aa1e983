"""Who is logged in: so many sessions of one account, and of it from one client network."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple, TypeVar

K = TypeVar("K")


class Guest(NamedTuple):
    """Who counts as the same.

    Attributes:
        account: Its id.
        client: The name of the client network; empty for one that is not counted.
    """

    account: int
    client: str


class Guests:
    """All who are logged in now; false if nobody is."""

    def __init__(self) -> None:
        self._accounts: Counter[int] = Counter()
        self._guests: Counter[Guest] = Counter()

    def __len__(self) -> int:
        return len(self._accounts)

    def objection(self, guest: Guest, *, of_account: int, from_client: int) -> str:
        """Return why ``guest`` is one too many; empty if it is not."""
        if self._accounts[guest.account] >= of_account:
            return "Too many connections of this account"
        if guest.client and self._guests[guest] >= from_client:
            return "Too many connections of this account from your network"
        return ""

    def enter(self, guest: Guest) -> None:
        """One session more."""
        self._accounts[guest.account] += 1
        self._guests[guest] += 1

    def leave(self, guest: Guest) -> None:
        """One session less of somebody who entered."""
        _take(self._accounts, guest.account)
        _take(self._guests, guest)


def _take(counted: Counter[K], key: K) -> None:
    counted[key] -= 1
    if not counted[key]:
        del counted[key]
