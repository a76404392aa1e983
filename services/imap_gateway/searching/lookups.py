"""Search keys that the view cannot answer: texts and dates, from PostgreSQL and the objects.

Folded text is made when a search first needs it, in batches bounded in octets; how far a view's
messages are covered is remembered with the view, so that the next search asks nothing.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from typing import TypeVar

from imap_gateway.aside import aside
from imap_gateway.house import House
from imap_gateway.memory.allowance import Allowance
from imap_gateway.protocol import keys as k
from imap_gateway.view.hits import (
    Marks,
    Numbers,
    contents_of,
    marked,
    marked_packed,
    marked_uids,
    unpacked,
)
from imap_gateway.view.matching import Outside
from imap_gateway.view.rows import Rows
from imap_gateway.view.shared import SharedView
from posthouse.extraction.jobs import Job
from posthouse.extraction.kinds import has_documents
from posthouse.extraction.workshop import Broken
from posthouse.mail.errors import MissingObject
from posthouse.mime import Parts, unpack_parts
from posthouse.mime.indexed import HeaderText, header_text
from posthouse.mime.text import fold, search_text
from posthouse.storage import searching
from posthouse.storage.contents import Place, find_ids
from posthouse.storage.indexing import note_searcher
from posthouse.storage.searching import Among, DateColumn, TextColumn
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

HEADERS_AT_ONCE = 200
BODIES_AT_ONCE = 200
BODY_OCTETS_AT_ONCE = 8 * 1024 * 1024
INLINE_OCTETS = 64 * 1024  # a larger message is folded in a thread
READS_AT_ONCE = 16
DOCUMENT_SECONDS = 60.0  # of one search; what is left the indexer makes searchable
_T = TypeVar("_T")

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

log = get_logger()
_folded = counter("posthouse_imap_texts_folded_total", "Messages made searchable.", "what")


class Lookups:
    """Looks keys up for one search."""

    def __init__(self, house: House, view: SharedView, rows: Rows) -> None:
        self._house = house
        self._account = view.account
        self._view = view
        self._rows = rows
        self._documents = Allowance(DOCUMENT_SECONDS)

    async def find(self, key: Outside, places: Sequence[int]) -> Marks:
        """Return which rows match ``key``, of ``places`` at least; `Unavailable` escapes."""
        if not places:
            return bytearray(len(self._rows))
        return await self._finder(key, places)

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
                since, before = map(_midnight, _days(key))
                return self._dated(column, since, before)
            case k.Within(seconds=seconds, is_older=is_older):
                since, before = _span(seconds, is_older=is_older)
                return self._dated("internaldate", since, before)

    async def cover(self, places: Sequence[int], *, with_bodies: bool) -> None:
        """See to it that the text of these messages is there."""
        view, uids = self._view, self._rows.uids
        covered = view.covered_bodies if with_bodies else view.covered_headers
        is_all = len(places) == len(self._rows)  # else messages before these may be missing
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
            lacking = [one for one in found if wanted is not None and one[0] in wanted]
            await self._make(lacking, with_bodies=with_bodies)
            after = found[-1][0] if len(found) == searching.MISSING_AT_ONCE else among.last
        if is_all:
            last = uids[places[-1]]
            view.covered_headers = max(view.covered_headers, last)
            if with_bodies:
                view.covered_bodies = max(view.covered_bodies, last)

    async def _make(self, missing: Sequence[tuple[int, bool]], *, with_bodies: bool) -> None:
        """Fold what nobody has folded yet: the contents, and whether their headers lack too."""
        for start in range(0, len(missing), HEADERS_AT_ONCE):
            part = missing[start : start + HEADERS_AT_ONCE]
            headers = [content for content, lacks_header in part if lacks_header]
            if headers:
                await self._add_headers(headers)
            if with_bodies:
                await self._add_bodies([content for content, _ in part])

    async def _containing(self, key: k.Contains, places: Sequence[int]) -> Marks:
        if key.where in _NEED_BODY:
            await self._note_search()
        await self.cover(places, with_bodies=key.where in _NEED_BODY)
        text, pool = fold(key.text), self._house.pool
        among = await self._among(places)
        column = _COLUMNS.get(key.where)
        if column is not None:
            hits = await searching.find_text(pool, self._account, among, column, text)
        else:
            name = "bcc" if key.where is k.Where.BCC else key.header
            hits = await searching.find_field(pool, self._account, among, name, text)
        return await aside(len(places), marked_packed, self._rows, places, hits)

    async def _note_search(self) -> None:
        """Have texts of the account indexed from now on; told once a day."""
        today = datetime.now(UTC).date()
        if self._view.searched_on != today:
            await note_searcher(self._house.pool, self._account)
            self._view.searched_on = today

    async def _with_id(self, key: k.HasId, places: Sequence[int]) -> Marks:
        if key.is_thread:
            await self.cover(places, with_bodies=False)
        among = await self._among(places)
        between = among.first, among.last
        hits = await find_ids(
            self._house.pool, self._account, between, key.ident, is_thread=key.is_thread
        )
        return await aside(len(places), marked, self._rows, places, hits)

    async def _sent(self, key: k.Dated, places: Sequence[int]) -> Marks:
        await self.cover(places, with_bodies=False)
        among = await self._among(places)
        hits = await searching.find_sent(self._house.pool, self._account, among, *_days(key))
        return await aside(len(places), marked_packed, self._rows, places, hits)

    async def _among(self, places: Sequence[int]) -> Among:
        contents = await aside(len(places), contents_of, self._rows, places)
        return await aside(len(places), Among.these, contents)

    async def _dated(self, column: DateColumn, since: datetime, before: datetime) -> Marks:
        where = (self._account, self._view.mailbox)
        packed = await searching.find_dated(self._house.pool, where, column, since, before)
        return await aside(len(packed) // 8, marked_uids, self._rows, unpacked(packed))

    async def _add_headers(self, contents: Sequence[int]) -> None:
        headers = await self._house.contents.column(self._account, "header", contents)
        texts = await asyncio.to_thread(_header_texts, contents, headers)
        await searching.add_headers(self._house.pool, self._account, texts)
        _folded.labels("header").inc(len(texts))

    async def _add_bodies(self, contents: Sequence[int]) -> None:
        house, account = self._house, self._account
        places = await house.contents.places(account, contents)
        gate = asyncio.Semaphore(READS_AT_ONCE)

        async def read(content: int, place: Place) -> str:
            async with gate:
                return await self._body_text(content, place)

        for batch in _batches(places):
            async with house.folding.turn(account):
                texts = await asyncio.gather(*(read(content, places[content]) for content in batch))
                await searching.add_bodies(house.pool, account, batch, texts)
            _folded.labels("body").inc(len(batch))

    async def _body_text(self, content: int, place: Place) -> str:
        start = len(place.prefix)
        try:
            octets = await self._house.bodies.span(place, start, start + place.size)
        except MissingObject:
            return ""  # it has been told; the others are searched
        parts, workshop = unpack_parts(place.parts), self._house.workshop
        may_read = workshop.is_open and self._documents.is_left
        if may_read and await _near(has_documents, octets, parts):
            job = Job(account=self._account, content=content, header=b"", parts=place.parts,
                      octets=octets, with_documents=True)  # fmt: skip
            # A broken worker has been told of; the indexer too leaves out what breaks one.
            with suppress(Broken, TimeoutError):
                async with self._documents.spend():
                    return (await workshop.make(job)).body
        return await _near(search_text, octets, parts)


async def _near(look: Callable[[bytes, Parts], _T], octets: bytes, parts: Parts) -> _T:
    """Look at a message, in a thread if it is large."""
    if len(octets) <= INLINE_OCTETS:
        return look(octets, parts)
    return await asyncio.to_thread(look, octets, parts)


def _header_texts(contents: Sequence[int], headers: Sequence[bytes]) -> list[HeaderText]:
    return [header_text(c, header) for c, header in zip(contents, headers, strict=True)]


def _days(key: k.Dated) -> tuple[date, date]:
    """Return the first day that is meant, and the first after it that is not."""
    match key.order:
        case k.Order.BEFORE:
            return date.min, key.day
        case k.Order.ON:
            return key.day, min(key.day, date.max - _DAY) + _DAY
        case k.Order.SINCE:
            return key.day, date.max


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _span(seconds: int, *, is_older: bool) -> tuple[datetime, datetime]:
    """Return from when to before when (RFC 5032 §3); both keys count the moment between."""
    always, never = _midnight(date.min), _midnight(date.max)
    now = datetime.now(UTC)
    try:
        moment = now - timedelta(seconds=seconds)
    except OverflowError:
        moment = always
    return (always, moment + timedelta(microseconds=1)) if is_older else (moment, never)


def _batches(places: dict[int, Place]) -> Iterable[list[int]]:
    """Cut contents into batches bounded in number and octets."""
    batch: list[int] = []
    octets = 0
    for content, place in places.items():
        if batch and (len(batch) >= BODIES_AT_ONCE or octets + place.size > BODY_OCTETS_AT_ONCE):
            yield batch
            batch, octets = [], 0
        batch.append(content)
        octets += place.size
    if batch:
        yield batch
