"""Search keys that the view cannot answer: texts and dates, from PostgreSQL and the objects.

Headers are folded when a search first needs them, bodies that nobody has indexed are looked into (`texts`);
how far a view's messages are covered is remembered with the view, so that the next search asks nothing.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import TypeGuard

from imap_gateway.aside import aside
from imap_gateway.house import House
from imap_gateway.protocol import keys as k
from imap_gateway.searching.texts import Having, Texts
from imap_gateway.view.hits import (
    Marks,
    Numbers,
    contents_of,
    marked,
    marked_packed,
    marked_uids,
)
from imap_gateway.view.matching import Outside
from imap_gateway.view.rows import Rows
from imap_gateway.view.shared import SharedView
from posthouse.mime.folding import fold
from posthouse.storage import searching
from posthouse.storage.contents import find_ids
from posthouse.storage.indexing import note_searcher
from posthouse.storage.searching import Among, DateColumn, Missing, TextColumn

_COLUMNS: dict[k.Where, TextColumn] = {
    k.Where.FROM: "from_f",
    k.Where.TO: "to_f",
    k.Where.CC: "cc_f",
    k.Where.SUBJECT: "subject_f",
    k.Where.BODY: "body_f",
    k.Where.TEXT: "text",
}
_NEED_BODY = {k.Where.BODY, k.Where.TEXT}
_DAY = timedelta(days=1)
FEW_MESSAGES = 500  # are folded in a moment, and then the next searches know them


class Lookups:
    """Looks keys up for one search; a patient one steps aside for others."""

    def __init__(
        self, house: House, view: SharedView, rows: Rows, *, is_patient: bool = False
    ) -> None:
        self._house = house
        self._account = view.account
        self._view = view
        self._rows = rows
        self._texts = Texts(house, view.account, is_patient=is_patient)
        self._read: Having = defaultdict(partial(array, "q"))

    @property
    def unread(self) -> int:
        """Of so many messages the documents were not read: there was no time left."""
        return len(self._texts.unread)

    async def find(self, keys: Iterable[Outside], places: Sequence[int]) -> dict[Outside, Marks]:
        """Return which rows match ``keys``, of ``places`` at least; `Unavailable` escapes."""
        if not places:
            return {key: bytearray(len(self._rows)) for key in keys}
        keys = tuple(keys)
        with self._house.folding.search():
            await self._read_bodies([key for key in keys if _needs_body(key)], places)
            return {key: await self._finder(key, places) for key in keys}

    def _finder(self, key: Outside, places: Sequence[int]) -> Awaitable[Marks]:
        match key:
            case k.Contains():
                return self._containing(key, places)
            case k.HasId():
                return self._with_id(key, places)
            case k.Dated(which=k.Which.SENT):
                return self._sent(key, places)
            case k.Dated(which=which):
                column: DateColumn = "savedate" if which is k.Which.SAVED else "internaldate"
                since, before = _days(key)
                end = None if before is None else _midnight(before)
                return self._dated(column, _midnight(since), end)
            case k.Within(seconds=seconds, is_older=is_older):
                since, before = _span(seconds, is_older=is_older)
                return self._dated("internaldate", since, before)

    async def cover(self, places: Sequence[int], *, sought: str | None = None) -> None:
        """See to it that the headers of these messages are searchable.

        With ``sought`` only of those that may have this text, where many are to be folded: the others
        are folded in the background.
        """
        async for lacking in self._lacking(places, with_bodies=False):
            await self._add_headers(lacking, None if sought is None else [sought])
        self._remember(places, lacks_bodies=True)

    async def _read_bodies(self, keys: Sequence[k.Contains], places: Sequence[int]) -> None:
        """Look into the bodies that are not searchable, for all texts at once."""
        if not keys:
            return
        await self._note_search()
        sought = sorted({fold(key.text) for key in keys})
        in_headers = sorted({fold(key.text) for key in keys if key.where is k.Where.TEXT})
        lacks_bodies = False
        async for lacking in self._lacking(places, with_bodies=True):
            lacks_bodies = lacks_bodies or bool(lacking)
            headers = [one for one in lacking if one.lacks_header]
            if in_headers and headers:
                await self._add_headers(headers, in_headers)
            await self._texts.read_bodies([one.content for one in lacking], sought, self._read)
        if sys.byteorder == "little":
            for contents in self._read.values():
                contents.byteswap()
        if in_headers or not lacks_bodies:
            self._remember(places, lacks_bodies=lacks_bodies)

    async def _add_headers(self, lacking: Sequence[Missing], sought: Sequence[str] | None) -> None:
        is_many = len(lacking) > FEW_MESSAGES or self._texts.has_left_out
        await self._texts.add_headers([one.content for one in lacking], sought if is_many else None)

    async def _lacking(
        self, places: Sequence[int], *, with_bodies: bool
    ) -> AsyncIterator[list[Missing]]:
        """Yield what of these messages is not searchable, some thousands at a time."""
        view, uids = self._view, self._rows.uids
        covered = view.covered_bodies if with_bodies else view.covered_headers
        start = bisect_right(places, covered, key=uids.__getitem__)
        if start == len(places):
            return
        places = places[start:] if start else places
        contents = await aside(len(places), contents_of, self._rows, places)
        among = await aside(len(places), Among.these, contents)
        after, wanted = among.first - 1, None
        while after < among.last:
            found = await searching.missing(
                self._house.pool, self._account, among, after, with_bodies=with_bodies
            )
            if found and wanted is None:
                wanted = await aside(len(contents), Numbers, contents)
            yield [one for one in found if wanted is not None and one.content in wanted]
            after = found[-1].content if len(found) == searching.MISSING_AT_ONCE else among.last

    def _remember(self, places: Sequence[int], *, lacks_bodies: bool) -> None:
        """Note how far the mailbox is searchable now."""
        view = self._view
        if self._texts.has_left_out:
            self._house.folding.want(view)
        elif len(places) == len(self._rows):  # else messages before these may be missing
            last = self._rows.uids[places[-1]]
            view.covered_headers = max(view.covered_headers, last)
            if not lacks_bodies:
                view.covered_bodies = max(view.covered_bodies, last)

    async def _containing(self, key: k.Contains, places: Sequence[int]) -> Marks:
        text, pool = fold(key.text), self._house.pool
        if not _needs_body(key):
            await self.cover(places, sought=text)
        among = await self._among(places)
        column = _COLUMNS.get(key.where)
        if column is not None:
            hits = await searching.find_text(pool, self._account, among, column, text)
        else:
            name = "bcc" if key.where is k.Where.BCC else key.header
            hits = await searching.find_field(pool, self._account, among, name, text)
        if _needs_body(key) and text in self._read:
            hits += self._read[text].tobytes()
        return await aside(len(places), marked_packed, self._rows, places, hits)

    async def _note_search(self) -> None:
        """Have texts of the account indexed from now on; told once a day."""
        today = datetime.now(UTC).date()
        if self._view.searched_on != today:
            await note_searcher(self._house.pool, self._account)
            self._view.searched_on = today

    async def _with_id(self, key: k.HasId, places: Sequence[int]) -> Marks:
        if key.is_thread:
            await self.cover(places)
        among = await self._among(places)
        between = among.first, among.last
        hits = await find_ids(
            self._house.pool, self._account, between, key.ident, is_thread=key.is_thread
        )
        return await aside(len(places), marked, self._rows, places, hits)

    async def _sent(self, key: k.Dated, places: Sequence[int]) -> Marks:
        await self.cover(places)
        among = await self._among(places)
        hits = await searching.find_sent(self._house.pool, self._account, among, *_days(key))
        return await aside(len(places), marked_packed, self._rows, places, hits)

    async def _among(self, places: Sequence[int]) -> Among:
        contents = await aside(len(places), contents_of, self._rows, places)
        return await aside(len(places), Among.these, contents)

    async def _dated(self, column: DateColumn, since: datetime, before: datetime | None) -> Marks:
        where = (self._account, self._view.mailbox)
        packed = await searching.find_dated(self._house.pool, where, column, since, before)
        return await aside(len(packed) // 8, marked_uids, self._rows, packed)


def _needs_body(key: Outside) -> TypeGuard[k.Contains]:
    return isinstance(key, k.Contains) and key.where in _NEED_BODY


def _days(key: k.Dated) -> tuple[date, date | None]:
    """Return the first day that is meant, and the first after it that is not, if there is one."""
    match key.order:
        case k.Order.BEFORE:
            return date.min, key.day
        case k.Order.ON:
            return key.day, None if key.day == date.max else key.day + _DAY
        case k.Order.SINCE:
            return key.day, None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _span(seconds: int, *, is_older: bool) -> tuple[datetime, datetime | None]:
    """Return from when to before when (RFC 5032 §3); both keys count the moment between."""
    always = _midnight(date.min)
    now = datetime.now(UTC)
    try:
        moment = now - timedelta(seconds=seconds)
    except OverflowError:
        moment = always
    return (always, moment + timedelta(microseconds=1)) if is_older else (moment, None)
