"""SEARCH (RFC 3501 §6.4.4, RFC 7162 §3.1.5)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from imap_gateway.aside import aside
from imap_gateway.client import Client, Done, Handlers
from imap_gateway.errors import Refusal
from imap_gateway.handlers.fetching import FRESH_SECONDS
from imap_gateway.lookups import Lookups
from imap_gateway.protocol import commands as c
from imap_gateway.protocol import keys as k
from imap_gateway.protocol.responses import untagged
from imap_gateway.telling import know_keywords
from imap_gateway.view.matching import Scope, candidates, count_keys, outside_keys, select
from imap_gateway.view.position import message_rows
from imap_gateway.view.rows import Rows

MAX_LOOKUPS = 50  # texts and dates, each of which PostgreSQL looks for


async def search(client: Client, command: c.Search) -> Done:
    """SEARCH and UID SEARCH."""
    position, house = client.mailbox().position, client.house
    await house.views.refresh(position.view, max_age=FRESH_SECONDS)
    everything = range(position.count)
    rows, indexes, places = await aside(position.count, message_rows, position, everything)
    used = tuple(rows.keywords.values())  # at once: a step may be under way in a thread
    await know_keywords(client, tuple({n for words in used for n in words}))
    scope = Scope(rows=rows, places=places, position=position, keywords=client.keywords)
    outside = outside_keys(command.key)
    if len(outside) > MAX_LOOKUPS:
        raise Refusal("Too many texts and dates in one search", b"LIMIT")
    tests = len(places) * count_keys(command.key)
    if outside:
        lookups = Lookups(house, client.owner, position.view, rows)
        left = await aside(tests, candidates, command.key, scope)
        scope = replace(scope, found={key: await lookups.find(key, left) for key in outside})
    matched = await aside(tests, select, command.key, scope, places)
    numbers = _Numbers(rows, indexes, places, command.is_uid)
    text = await aside(len(matched), numbers.write, matched)
    if _asks_modseq(command.key):
        client.enable(b"CONDSTORE")
        if matched:  # RFC 7162 §3.1.5
            text += b" (MODSEQ %d)" % max(map(rows.modseqs.__getitem__, matched))
    client.wire.write(untagged(text))
    await client.wire.drain()
    return Done("SEARCH done")


@dataclass(frozen=True, slots=True)
class _Numbers:
    """What the client calls the messages: of ``places`` in ``rows``, ``indexes`` to the client."""

    rows: Rows
    indexes: Sequence[int]
    places: Sequence[int]
    is_uid: bool

    def write(self, matched: Sequence[int]) -> bytes:
        """Return the answer that names these places."""
        if self.is_uid:
            numbers: Iterable[int] = map(self.rows.uids.__getitem__, matched)
        elif self.indexes is self.places:
            numbers = (place + 1 for place in matched)
        else:
            index_of = dict(zip(self.places, self.indexes, strict=True))
            numbers = (index_of[place] + 1 for place in matched)
        return b"SEARCH" + b"".join([b" %d" % number for number in numbers])


def _asks_modseq(key: k.Key) -> bool:
    match key:
        case k.ChangedSince():
            return True
        case k.Not(key=inner):
            return _asks_modseq(inner)
        case k.Or(one=one, other=other):
            return _asks_modseq(one) or _asks_modseq(other)
        case k.And(keys=keys):
            return any(map(_asks_modseq, keys))
        case _:
            return False


HANDLERS: Final[Handlers] = MappingProxyType({
    c.Search: search,
})  # fmt: skip
