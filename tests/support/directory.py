"""A directory made of Python: what `posthouse.storage.directory.resolve` would answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from posthouse.mail.maps import Entry, Kind, entry_of
from posthouse.storage.directory import Account, Alias, Domain, Forward, Found
from posthouse.storage.maps import Shape


class PaperDirectory:
    """Domains, accounts, aliases and forwards on paper."""

    def __init__(self, *domains: str) -> None:
        self.domains = {domain: Domain(domain=domain, catch_all=None) for domain in domains}
        self.accounts: dict[str, Account] = {}
        self.aliases: dict[str, Alias] = {}
        self.forwards: dict[str, Forward] = {}
        self.entries: dict[tuple[Kind, str], Entry] = {}
        self.maps: dict[str, dict[str, tuple[str, ...]]] = {}
        self.rounds = 0

    def account(
        self, address: str, *, enabled: bool = True, quota: int | None = None, used: int = 0
    ) -> int:
        """Add an account and return its number."""
        number = len(self.accounts) + 1
        self.accounts[address] = Account(
            id=number, address=address, enabled=enabled, quota_octets=quota, used_octets=used
        )
        return number

    def alias(
        self, address: str, *targets: str, owner: str | None = None, posters: tuple[str, ...] = ()
    ) -> None:
        """Let an address stand for others."""
        made = Alias(address=address, targets=targets, owner=owner, posters=posters)
        self.aliases[address] = made

    def forward(self, address: str, *targets: str, keep_copy: bool) -> None:
        """Let an account's mail go on."""
        self.forwards[address] = Forward(address=address, targets=targets, keep_copy=keep_copy)

    def catch_all(self, domain: str, address: str) -> None:
        """Let an address take what nobody else does."""
        self.domains[domain] = Domain(domain=domain, catch_all=address)

    def delimiters(self, domain: str, delimiters: str) -> None:
        """Part local parts of a domain at these."""
        self.domains[domain] = replace(self.domains[domain], delimiters=delimiters)

    def entry(self, kind: str, key: str, *targets: str) -> None:
        """Write into a map."""
        made = entry_of(kind, key, targets)
        self.entries[made.kind, made.key] = made
        self.maps.setdefault(made.key, {})[made.kind] = made.targets

    def shape(self) -> Shape:
        """Return which maps there are."""
        patterns: dict[Kind, tuple[Entry, ...]] = {}
        for (kind, key), each in sorted(self.entries.items()):
            if key.startswith("/"):
                patterns[kind] = (*patterns.get(kind, ()), each)
        return Shape(kinds=frozenset(kind for kind, _ in self.entries), patterns=patterns)

    def known(self, keys: Sequence[str]) -> dict[str, Found]:
        """Answer as the real one does."""
        return {
            key: Found(
                key=key,
                domain=self.domains.get(key.rpartition("@")[2]),
                account=self.accounts.get(key),
                alias=self.aliases.get(key),
                forward=self.forwards.get(key),
                maps=self.maps.get(key, {}),
            )
            for key in keys
        }

    async def resolve(self, keys: Sequence[str]) -> dict[str, Found]:
        """Answer, counting the round trips."""
        self.rounds += 1
        return self.known(keys)
