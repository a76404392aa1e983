"""Which messages of a mailbox match: the view's own keys in memory, the others by lookups."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

from imap_gateway.aside import aside
from imap_gateway.client import Client
from imap_gateway.errors import Misuse, Refusal
from imap_gateway.own_seen import know_own_seen
from imap_gateway.protocol import keys as k
from imap_gateway.protocol.responses import status
from imap_gateway.searching.lookups import Lookups
from imap_gateway.telling import know_keywords
from imap_gateway.view.flags import Keywords
from imap_gateway.view.hits import AT_ONCE
from imap_gateway.view.matching import (
    Scope,
    candidates,
    count_keys,
    matching,
    names_numbers,
    outside_keys,
)
from imap_gateway.view.position import Position, message_rows
from imap_gateway.view.rows import Rows
from posthouse.storage.messages import keyword_names

FRESH_SECONDS = 0.05  # how old the view may be; notices come sooner
MAX_LOOKUPS = 50  # texts and dates, each of which PostgreSQL looks for
MAX_TESTS = 200_000_000  # of messages by keys, in one search of a mailbox: some ten seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What matched.

    Attributes:
        rows: The mailbox as it was searched.
        indexes: Of all messages that the client knows of and that are still there.
        places: The same messages in ``rows``.
        matched: Those of ``places`` that match, in mailbox order.
        step: Of the mailbox when the search began; of later ones it may have seen some.
    """

    rows: Rows
    indexes: Sequence[int]
    places: Sequence[int]
    matched: Sequence[int]
    step: int

    def uids(self, matched: Sequence[int]) -> array[int]:
        """Return the UIDs of these places, in their order."""
        uids = array("I")
        for start in range(0, len(matched), AT_ONCE):
            uids.extend([self.rows.uids[place] for place in matched[start : start + AT_ONCE]])
        return uids

    def numbers(self, matched: Sequence[int], *, is_uid: bool) -> array[int]:
        """Return what the client calls these places, in their order."""
        if is_uid:
            return self.uids(matched)
        numbers = array("I")
        for start in range(0, len(matched), AT_ONCE):
            part = matched[start : start + AT_ONCE]
            if self.indexes is self.places:
                numbers.extend([place + 1 for place in part])
            else:
                numbers.extend([self._index(place) + 1 for place in part])
        return numbers

    def _index(self, place: int) -> int:
        return self.indexes[bisect_left(self.places, place)]

    def modseq(self, matched: Sequence[int]) -> int | None:
        """Return the highest modseq of these places, None without any."""
        highest = [
            max(map(self.rows.modseqs.__getitem__, matched[start : start + AT_ONCE]))
            for start in range(0, len(matched), AT_ONCE)
        ]
        return max(highest, default=None)


def demand_bounded(position: Position, key: k.Key) -> None:
    """Refuse a search that would keep a thread at work for minutes."""
    if position.count * count_keys(key) > MAX_TESTS:
        raise Refusal("Too many keys for so many messages", b"LIMIT")


async def find(client: Client, position: Position, key: k.Key) -> Found:
    """Look for the messages that match ``key``; `Unavailable` escapes."""
    house = client.house
    if client.is_uidonly and names_numbers(key):
        raise Misuse("Only UIDs are in use", b"UIDREQUIRED")  # RFC 9586 §3.2
    await house.views.refresh(position.view, max_age=FRESH_SECONDS)
    await know_own_seen(client, position)
    step, everything = position.view.modseq, range(position.count)
    rows, indexes, places = await aside(position.count, message_rows, position, everything)
    keywords = await _keywords(client, position, tuple(rows.keywords.used()))
    scope = Scope(rows=rows, places=places, position=position, keywords=keywords)
    outside = outside_keys(key)
    if len(outside) > MAX_LOOKUPS:
        raise Refusal("Too many texts and dates in one search", b"LIMIT")
    tests = len(places) * count_keys(key)
    if outside:
        lookups = Lookups(house, position.view, rows)
        left = await aside(tests, candidates, key, scope)
        scope = replace(scope, found=await lookups.find(outside, left))
        if lookups.unread:  # a warning; what was found is told all the same (RFC 3501 §7.1.2)
            said = f"Documents in {lookups.unread} messages not searched yet, search again"
            client.wire.write(status(b"*", b"NO", said, b"LIMIT"))
    matched = await aside(tests, matching, key, scope)
    return Found(rows=rows, indexes=indexes, places=places, matched=matched, step=step)


async def _keywords(client: Client, position: Position, numbers: Sequence[int]) -> Keywords:
    """Return the names of keywords in the mailbox, which another account may have given."""
    if client.selected is not None and client.selected.position is position:
        await know_keywords(client, numbers)
        return client.keywords
    view = position.view
    return Keywords(await keyword_names(client.house.pool, view.account) if numbers else {})
