"""Our own allow and deny lists, as they are asked: not at all while they are empty."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta

from policy_engine.enquiries import Memory
from policy_engine.lists.keyring import Keyring
from policy_engine.rights import read
from posthouse.mail.access_keys import Kind, address_keys, client_keys, domain_keys
from posthouse.mail.address import DETAIL_DELIMITER
from posthouse.storage.access import EVERYBODY, Entry, Key, find_entries
from posthouse.storage.pool import Pool

LOOK_AGAIN = timedelta(seconds=7)  # since we looked of which kinds there are entries


class AccessLists:
    """Asks them; that the first entry of a kind came is known within seconds (`Memory`)."""

    def __init__(self, pool: Pool, clock: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._clock = clock
        self._keyring = Keyring(pool, clock)
        self._kinds: frozenset[Kind] = frozenset()
        self._looked = float("-inf")
        self.memory = Memory(self._look, clock)

    async def kinds(self) -> frozenset[Kind]:
        """Return of which kinds there are entries."""
        return (await self.memory.resolve([EVERYBODY]))[EVERYBODY]

    async def _look(self, keys: Sequence[str]) -> dict[str, frozenset[Kind]]:
        self._kinds = await self._keyring.refresh()
        self._looked = self._clock()
        return dict.fromkeys(keys, self._kinds)

    @property
    def may_be_some(self) -> bool:
        """True unless we have looked, not long ago, and there were none."""
        return bool(self._kinds) or self._looked + LOOK_AGAIN.total_seconds() < self._clock()

    async def find(self, keys: Sequence[Key], whose: Iterable[str]) -> tuple[Entry, ...]:
        """Return the entries of any of ``whose`` that have one of ``keys``."""
        likely = self._keyring.likely(keys)
        return await find_entries(self._pool, likely, list(whose)) if likely else ()


def keys_of(kinds: Iterable[Kind], given: Mapping[Kind, Sequence[str]]) -> list[Key]:
    """Return the keys of what is ``given``, of these kinds, each kind's best first."""
    return [
        (kind, key)
        for kind in kinds
        for text in given.get(kind, ())
        for key in dict.fromkeys(_keys(kind, text))
    ]


def addresses_of(recipient: str) -> tuple[str, ...]:
    """Return a recipient with and without its detail."""
    address = read(recipient)
    if address is None:
        return ()
    base = f"{address.detail(DETAIL_DELIMITER)[0].lower()}@{address.domain}"
    return tuple(dict.fromkeys((address.key, base)))


def lists_of(recipient: str) -> tuple[str, ...]:
    """Return whose lists hold for ``recipient``, the narrowest first."""
    own = addresses_of(recipient)
    return (*own, own[0].rpartition("@")[2], EVERYBODY) if own else (EVERYBODY,)


def _keys(kind: Kind, text: str) -> tuple[str, ...]:
    match kind:
        case "sender" | "author" | "recipient":
            return address_keys(text)
        case "client":
            return client_keys(text)
        case "hello" | "reverse":
            return domain_keys(text)
        case "header":
            return (text, text.partition(":")[0])
        case "rule":
            return (text.upper(),)
