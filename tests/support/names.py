"""DNS from a mapping: the double of `posthouse.authenticity.names.Names`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Literal

from posthouse.mail.answers import Answer, Empty, Exchange, Found, Temporary

MAX_LABEL_CHARACTERS = 63  # RFC 1035 §2.3.4
MAX_ALIASES = 8


@dataclass
class FakeNames:
    """Records by name and type: ``{"a.test": {"TXT": ["v=spf1 -all"], "MX": ["10 mx.a.test"]}}``.

    Attributes:
        zone: The records; names in lower case.
        silent: Names, or (name, type), that nobody answers for.
        asked: How often each (name, type) was asked.
    """

    zone: Mapping[str, Mapping[str, Sequence[str]]]
    silent: frozenset[str | tuple[str, str]] = frozenset()
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)

    async def txt(self, name: str) -> Answer[str]:
        return self._ask(name, "TXT")

    async def mx(self, domain: str) -> Answer[Exchange]:
        answer = self._ask(domain, "MX")
        if not isinstance(answer, Found):
            return answer
        pairs = [record.split() for record in answer.records]
        return Found(tuple(sorted(Exchange(int(n), host.lower()) for n, host in pairs)))

    async def hosts(self, name: str, version: Literal[4, 6]) -> Answer[str]:
        return self._ask(name, "A" if version == 4 else "AAAA")

    async def pointers(self, address: str) -> Answer[str]:
        return self._ask(ip_address(address).reverse_pointer, "PTR")

    def _ask(self, name: str, kind: str, aliases: int = 0) -> Answer[str]:
        name = name.lower().removesuffix(".")
        self.asked[name, kind] += 1
        if any(not 0 < len(label) <= MAX_LABEL_CHARACTERS for label in name.split(".")):
            return Empty(exists=False)
        records = self.zone.get(name, {})
        if found := records.get(kind):
            return Found(tuple(found))
        if {name, (name, kind)} & self.silent or aliases > MAX_ALIASES:
            return Temporary(f"timeout for {kind} of {name}")
        if alias := records.get("CNAME"):
            return self._ask(alias[0], kind, aliases + 1)
        return Empty(exists=name in self.zone)
