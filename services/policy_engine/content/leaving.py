"""Whether mail leaves this house again: a recipient that stands for somebody outside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TypeAlias

from policy_engine.places import Place, find, keys_of
from posthouse.mail.address import Address, BadAddress, parse_address
from posthouse.storage.directory import Found

Resolve: TypeAlias = Callable[[Sequence[str]], Awaitable[Mapping[str, Found]]]

MAX_LEVELS = 10  # aliases of aliases
MAX_TARGETS = 10_000


async def leaves_house(recipients: Sequence[str], resolve: Resolve) -> bool:
    """Return True if one of ``recipients``, or who it stands for, is outside; raise `Unavailable`."""
    level, seen = set(recipients), set[str]()
    for _ in range(MAX_LEVELS):
        level -= seen
        if not level or len(seen) > MAX_TARGETS:
            return False
        seen |= level
        addresses = list(_read(level))
        known = await resolve(sorted({key for each in addresses for key in keys_of(each)}))
        places = [find(each, known) for each in addresses]
        if None in places:
            return True
        level = {target for place in places if place for target in _behind(place)}
    return False


def _read(texts: set[str]) -> Iterator[Address]:
    for text in texts:
        with suppress(BadAddress):
            yield parse_address(text)


def _behind(place: Place) -> tuple[str, ...]:
    """Return who gets the mail of ``place`` instead, or besides."""
    if place.alias is not None:
        return place.alias.targets
    if place.account is not None:
        return place.forward.targets if place.forward is not None and place.account.enabled else ()
    return (place.domain.catch_all,) if place.domain.catch_all else ()
