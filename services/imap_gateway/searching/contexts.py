"""Searches whose client is told what changes in their results (RFC 5267 §4.3).

A context looks again only at messages that came or changed since it looked last. What an outage kept
from it is looked at when there is news again.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeAlias

from imap_gateway.aside import aside
from imap_gateway.client import Client, Context
from imap_gateway.errors import Misuse
from imap_gateway.protocol import finding as f
from imap_gateway.protocol import keys as k
from imap_gateway.protocol.finding_answers import change_data, esearch
from imap_gateway.protocol.items import FetchItem
from imap_gateway.protocol.responses import status, untagged
from imap_gateway.protocol.sequences import SequenceSet, runs
from imap_gateway.searching.finding import Found, find
from imap_gateway.searching.lookups import Lookups
from imap_gateway.view.matching import with_uids
from imap_gateway.view.position import News, Position
from posthouse.mail.errors import Unavailable
from posthouse.storage.ordering import sorted_uids
from posthouse.telemetry.logs import get_logger

MAX_CONTEXTS = 20  # of one session
MAX_RESULTS = 2_000_000  # of all of these, 4 octets each

TellItems: TypeAlias = Callable[
    [Client, tuple[FetchItem, ...], Sequence[int]], Awaitable[None]
]  # writes FETCH responses of messages

log = get_logger()


def check_tag(client: Client, program: f.Program) -> None:
    """Refuse to update two searches under one tag (RFC 5267 §4.3)."""
    updates = program.returns is not None and program.returns.updates
    if updates and client.tag in client.mailbox().contexts:
        raise Misuse("Tag reuse")


async def keep_updating(
    client: Client,
    program: f.Program,
    found: Found,
    tell_items: TellItems,
    order: Sequence[f.Criterion] = (),
) -> None:
    """Tell the client from now on what changes in these results, if it has asked for that.

    Of new messages ``tell_items`` tells what it has asked for besides (RFC 5465 §7).
    """
    if program.returns is None or not program.returns.updates:
        return
    selected = client.mailbox()
    contexts = selected.contexts
    many = len(found.matched) + sum(context.many for context in contexts.values())
    if len(contexts) >= MAX_CONTEXTS or many > MAX_RESULTS:
        code = b'NOUPDATE "%b"' % client.tag
        client.wire.write(status(b"*", b"NO", "Too many contexts", code))
        return
    updating = await aside(len(found.rows), _Updating, client, program, found, order)
    if program.returns.items:
        updating.tell_new = partial(tell_items, client, program.returns.items)
    selected.contexts = {**contexts, client.tag: updating}


class _Updating(Context):
    """One context."""

    def __init__(
        self, client: Client, program: f.Program, found: Found, order: Sequence[f.Criterion]
    ) -> None:
        self.tell_new: Callable[[Sequence[int]], Awaitable[None]] | None = None
        self._tag = client.tag
        self._is_uid = program.is_uid
        self._order = order
        position = client.mailbox().position
        self._key = with_uids(program.key, position)
        self._results = found.uids(found.matched)
        self._step, self._last = found.step, _last_uid(position)

    @property
    def many(self) -> int:
        """How many results there are."""
        return len(self._results)

    async def tell_gone(self, client: Client, news: News) -> None:
        """Write what leaves with expunged messages, by numbers that are valid until then."""
        if news.vanished:
            _write(client, await aside(self.many, self._without, news))

    def _without(self, news: News) -> bytes:
        names = dict(
            zip(news.vanished, news.vanished if self._is_uid else news.expunged, strict=True)
        )
        return self._become([uid for uid in self._results if uid not in names], names)

    async def tell_changed(self, client: Client) -> None:
        """Write what comes and goes with new messages and flags; an outage puts that off."""
        position = client.mailbox().position
        step, last = position.view.modseq, _last_uid(position)
        if (step, last) == (self._step, self._last):
            return
        try:
            changed = await aside(len(position.view.rows), self._changed, position)
            results = await self._looked_again(client, position, changed) if changed else None
        except Unavailable as error:
            log.warning("context not updated", reason=str(error))
            return
        first, self._step, self._last = self._last + 1, step, last
        if results is not None:
            if self.tell_new is not None:  # behind EXISTS, before ESEARCH
                await self.tell_new([position.index(uid) for uid in results if uid >= first])
            names = _Names(position, is_uid=self._is_uid)
            _write(client, await aside(self.many + len(results), self._become, results, names))
            await client.wire.drain()

    def _changed(self, position: Position) -> list[int]:
        """Return the UIDs, ascending, that came or changed since the last look."""
        view, uids = position.view, set[int]()
        if view.knows_since(self._step):
            for event in view.events_since(self._step):
                if not event.is_expunge:
                    uids.update(event.uids)
        else:
            rows = view.rows
            uids |= {u for u, at in zip(rows.uids, rows.modseqs, strict=True) if at > self._step}
        known = position.uids
        new = position.count
        while new and known[new - 1] > self._last:
            new -= 1
        uids.update(known[new : position.count])
        return sorted(uid for uid in uids if position.index(uid) >= 0)

    async def _looked_again(
        self, client: Client, position: Position, changed: list[int]
    ) -> list[int] | None:
        """Return the results as they are now, in their order; None if they are the same."""
        among = k.InSet(SequenceSet(tuple(runs(changed))), is_uid=True)
        found = await find(client, position, k.And((among, self._key)))
        results = await aside(self.many + len(found.rows), self._merged, found, changed)
        if results is None or not self._order:
            return results
        await Lookups(client.house, position.view, found.rows).cover(found.matched)
        return await self._sorted(client, position, results)

    def _merged(self, found: Found, changed: Sequence[int]) -> list[int] | None:
        """Return the results with what ``found`` says of those that changed, None for the same."""
        matched = {found.rows.uids[place] for place in found.matched}
        touched = set(changed)
        new = matched.difference(self._results)
        left = [uid for uid in self._results if uid not in touched or uid in matched]
        if not new and len(left) == len(self._results):
            return None
        return sorted([*left, *new])

    async def _sorted(self, client: Client, position: Position, results: list[int]) -> list[int]:
        order = [(one.key.value.decode(), one.is_reverse) for one in self._order]
        view = position.view
        packed = await sorted_uids(client.house.pool, (view.account, view.mailbox), order, results)
        return await aside(len(results), _in_order, packed, results)

    def _become(self, results: list[int], names: _Names | dict[int, int]) -> bytes:
        """Return what tells how the results become these, nothing if they are the same."""
        data = change_data(self._results, results, names.__getitem__, is_sorted=bool(self._order))
        self._results = array("I", results)
        return untagged(esearch(self._tag, data, is_uid=self._is_uid)) if data else b""


def _write(client: Client, response: bytes) -> None:
    """Write, which no thread may do: the connection is the event loop's."""
    client.wire.write(response)


def _in_order(packed: bytes, results: list[int]) -> list[int]:
    wanted, uids = set(results), array("q", packed)
    if sys.byteorder == "little":
        uids.byteswap()
    return [uid for uid in uids if uid in wanted]


class _Names:
    """What messages are called: by UID, the UID or the sequence number."""

    def __init__(self, position: Position, *, is_uid: bool) -> None:
        self._position = position
        self._is_uid = is_uid

    def __getitem__(self, uid: int) -> int:
        return uid if self._is_uid else self._position.index(uid) + 1


def _last_uid(position: Position) -> int:
    return position.uid(position.count - 1) if position.count else 0
