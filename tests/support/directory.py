"""A directory made of Python: what `posthouse.storage.directory.resolve` would answer."""

from __future__ import annotations

from collections.abc import Sequence

from posthouse.storage.directory import Account, Alias, Domain, Forward, Found


class PaperDirectory:
    """Domains, accounts, aliases and forwards on paper."""

    def __init__(self, *domains: str) -> None:
        self.domains = {domain: Domain(domain=domain, catch_all=None) for domain in domains}
        self.accounts: dict[str, Account] = {}
        self.aliases: dict[str, Alias] = {}
        self.forwards: dict[str, Forward] = {}
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

    def alias(self, address: str, *targets: str, owner: str | None = None) -> None:
        """Let an address stand for others."""
        self.aliases[address] = Alias(address=address, targets=targets, owner=owner)

    def forward(self, address: str, *targets: str, keep_copy: bool) -> None:
        """Let an account's mail go on."""
        self.forwards[address] = Forward(address=address, targets=targets, keep_copy=keep_copy)

    def catch_all(self, domain: str, address: str) -> None:
        """Let an address take what nobody else does."""
        self.domains[domain] = Domain(domain=domain, catch_all=address)

    def known(self, keys: Sequence[str]) -> dict[str, Found]:
        """Answer as the real one does."""
        return {
            key: Found(
                key=key,
                domain=self.domains.get(key.rpartition("@")[2]),
                account=self.accounts.get(key),
                alias=self.aliases.get(key),
                forward=self.forwards.get(key),
            )
            for key in keys
        }

    async def resolve(self, keys: Sequence[str]) -> dict[str, Found]:
        """Answer, counting the round trips."""
        self.rounds += 1
        return self.known(keys)
