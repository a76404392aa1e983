"""Looking an address up in the maps: what fits best counts (`posthouse.mail.maps`). Pure.

Patterns are matched in linear time, whatever they are, over the address in lower case.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import takewhile
from typing import TypeAlias

from policy_engine.places import Known, keys_of, locals_of
from posthouse.mail.address import Address
from posthouse.mail.map_patterns import Pattern, compiled, filled
from posthouse.mail.maps import PATTERN, Entry, Kind, candidates, local_keys, wide_keys
from posthouse.storage.maps import Shape

REMEMBERED = 4096  # addresses

Patterns: TypeAlias = Mapping[Kind, tuple[tuple[Pattern, Entry], ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """An entry that fits an address.

    Attributes:
        entry: It; what stands for groups of a pattern is filled in.
        detail: What the address has beyond the key, with its delimiter: ``+lists``.
    """

    entry: Entry
    detail: str = ""

    @property
    def targets(self) -> tuple[str, ...]:
        """What becomes of the address."""
        return self.entry.targets


@dataclass(frozen=True, slots=True, kw_only=True)
class Maps:
    """All maps at one moment; their keyed entries come with the directory's answers.

    Attributes:
        kinds: Maps with any entry.
        patterns: Theirs, compiled.
    """

    kinds: frozenset[Kind] = frozenset()
    patterns: Patterns = field(default_factory=dict)

    def keys(self, address: Address) -> tuple[str, ...]:
        """Return the keys beside `keys_of` that must be known before `narrow` and `wide`."""
        return _wider_keys(address) if self.kinds else ()

    def narrow(self, kind: Kind, address: Address, known: Known) -> Match | None:
        """Return what is said of ``address`` itself: by address, local part or pattern."""
        if kind not in self.kinds:
            return None
        for key in self._keys(address, known):
            targets = known[key].maps.get(kind)
            if targets is not None:
                exact, local = locals_of(address)[0], key.rpartition("@")[0]
                entry = Entry(kind=kind, key=key, targets=targets)
                return Match(entry=entry, detail=exact[len(local) :])
        return self._by_pattern(kind, address)

    def wide(self, kind: Kind, address: Address, known: Known) -> Match | None:
        """Return what is said of all addresses like ``address``: its domain's, those above, all."""
        if kind not in self.kinds:
            return None
        for key in wide_keys(address):
            targets = known[key].maps.get(kind)
            if targets is not None:
                return Match(entry=Entry(kind=kind, key=key, targets=targets))
        return None

    def find(self, kind: Kind, address: Address, known: Known) -> Match | None:
        """Return what fits ``address`` best."""
        return self.narrow(kind, address, known) or self.wide(kind, address, known)

    def all_of(self, kind: Kind, address: Address, known: Known) -> Iterator[Match]:
        """Yield all that fits ``address``, not only what fits best."""
        if (match := self.narrow(kind, address, known)) is not None:
            yield match
        for key in wide_keys(address):
            targets = known[key].maps.get(kind)
            if targets is not None:
                yield Match(entry=Entry(kind=kind, key=key, targets=targets))

    def _keys(self, address: Address, known: Known) -> tuple[str, ...]:
        domain = known[keys_of(address)[0]].domain
        return _narrow_keys(address, None if domain is None else domain.delimiters)

    def _by_pattern(self, kind: Kind, address: Address) -> Match | None:
        for pattern, entry in self.patterns.get(kind, ()):
            found = pattern.search(address.key)
            if found is not None:
                targets = tuple(filled(target, found) for target in entry.targets)
                return Match(entry=replace(entry, targets=targets))
        return None


NO_MAPS = Maps()


# Each round of a batch asks the same of the same few addresses, for each map.
@lru_cache(maxsize=REMEMBERED)
def _narrow_keys(address: Address, delimiters: str | None) -> tuple[str, ...]:
    return tuple(takewhile(lambda key: key != PATTERN, candidates(address, delimiters)))


@lru_cache(maxsize=REMEMBERED)
def _wider_keys(address: Address) -> tuple[str, ...]:
    return (*local_keys(locals_of(address)), *wide_keys(address))


def maps_of(shape: Shape) -> Maps:
    """Compile the patterns of all maps; only those that RE2 knows are ever written."""
    return Maps(
        kinds=shape.kinds,
        patterns={
            kind: tuple((compiled(each.key), each) for each in some)
            for kind, some in shape.patterns.items()
        },
    )
