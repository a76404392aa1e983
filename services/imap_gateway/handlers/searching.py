"""SEARCH (RFC 3501 §6.4.4, RFC 7162 §3.1.5)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from imap_gateway.client import Client, Done
from imap_gateway.errors import Refusal
from imap_gateway.handlers.fetching import FRESH_SECONDS
from imap_gateway.lookups import Lookups
from imap_gateway.protocol import commands as c
from imap_gateway.protocol import keys as k
from imap_gateway.protocol.responses import untagged
from imap_gateway.telling import know_keywords
from imap_gateway.view.matching import Scope, candidates, count_keys, outside_keys, select
from imap_gateway.view.position import message_rows

INLINE_TESTS = 100_000  # messages times keys, about 10 ms; more are tested in a thread
MAX_LOOKUPS = 50  # texts and dates, each of which PostgreSQL looks for


async def search(client: Client, command: c.Search) -> Done:
    """SEARCH and UID SEARCH."""
    position, house = client.mailbox().position, client.house
    await house.views.refresh(position.view, max_age=FRESH_SECONDS)
    rows, indexes, places = message_rows(position, range(position.count))
    await know_keywords(client, tuple({n for words in rows.keywords.values() for n in words}))
    scope = Scope(rows=rows, places=places, position=position, keywords=client.keywords)
    outside = outside_keys(command.key)
    if len(outside) > MAX_LOOKUPS:
        raise Refusal("Too many texts and dates in one search", b"LIMIT")
    elsewhere = len(places) * count_keys(command.key) > INLINE_TESTS
    if outside:
        lookups = Lookups(house, client.account, position.view, rows)
        left = await _work(candidates, command.key, scope, elsewhere=elsewhere)
        scope = replace(scope, found={key: await lookups.find(key, left) for key in outside})
    matched = await _work(select, command.key, scope, places, elsewhere=elsewhere)
    if command.is_uid:
        numbers = [rows.uids[place] for place in matched]
    else:
        index_of = indexes if indexes is places else dict(zip(places, indexes, strict=True))
        numbers = [index_of[place] + 1 for place in matched]
    text = b"SEARCH" + b"".join(b" %d" % number for number in numbers)
    if _asks_modseq(command.key):
        client.is_condstore = True
        if matched:  # RFC 7162 §3.1.5
            text += b" (MODSEQ %d)" % max(rows.modseqs[place] for place in matched)
    client.wire.write(untagged(text))
    await client.wire.drain()
    return Done("SEARCH done")


async def _work(
    work: Callable[..., Sequence[int]], *arguments: object, elsewhere: bool
) -> Sequence[int]:
    """Do what may take long in a thread: rows stay where they are while flags change."""
    if elsewhere:
        return await asyncio.to_thread(work, *arguments)
    return work(*arguments)


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
