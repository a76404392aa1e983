"""Search keys that the view cannot answer: texts and dates, from PostgreSQL and the objects.

Folded text is made when a search first needs it, in batches bounded in octets; how far a view's
messages are covered is remembered with the view, so that the next search asks nothing.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from email.utils import parsedate

from imap_gateway.house import House
from imap_gateway.protocol import keys as k
from imap_gateway.view.matching import Outside
from imap_gateway.view.rows import Rows
from imap_gateway.view.shared import SharedView
from posthouse.mail.errors import MissingObject
from posthouse.mime import unpack_parts
from posthouse.mime.text import fold, header_lines, search_text
from posthouse.storage import searching
from posthouse.storage.contents import Place
from posthouse.storage.searching import HeaderText, TextColumn
from posthouse.storage.snapshots import internal_dates
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

HEADERS_AT_ONCE = 200  # 10 ms; then others get their turn
BODIES_AT_ONCE = 200
BODY_OCTETS_AT_ONCE = 8 * 1024 * 1024
INLINE_OCTETS = 64 * 1024  # a larger message is folded in a thread
READS_AT_ONCE = 16

_COLUMNS: dict[k.Where, TextColumn] = {
    k.Where.FROM: "from_f",
    k.Where.TO: "to_f",
    k.Where.CC: "cc_f",
    k.Where.SUBJECT: "subject_f",
    k.Where.BODY: "body_f",
    k.Where.TEXT: "text",
}
_NEED_BODY = {k.Where.BODY, k.Where.TEXT}
_FIRST_STRING = re.compile(rb'\((?:"((?:[^"\\]|\\.)*)"|\{\d+\}\r\n([^\r\n]*)|NIL)', re.DOTALL)

log = get_logger()
_folded = counter("posthouse_imap_texts_folded_total", "Messages made searchable.", "what")


class Lookups:
    """Looks keys up for one search."""

    def __init__(self, house: House, account: int, view: SharedView, rows: Rows) -> None:
        self._house = house
        self._account = account
        self._view = view
        self._rows = rows

    async def find(self, key: Outside, places: Sequence[int]) -> frozenset[int]:
        """Return those of ``places`` that match ``key``; `Unavailable` escapes."""
        if not places:
            return frozenset()
        if isinstance(key, k.Contains):
            return await self._containing(key, places)
        if key.is_sent:
            days = await self._sent_days(places)
        else:
            days = await self._internal_days(places)
        return frozenset(
            place
            for place, day in zip(places, days, strict=True)
            if day is not None and _is_in_order(day, key.order, key.day)
        )

    async def _containing(self, key: k.Contains, places: Sequence[int]) -> frozenset[int]:
        contents = [self._rows.contents[place] for place in places]
        await self._cover(places, with_bodies=key.where in _NEED_BODY)
        between, text = (min(contents), max(contents)), fold(key.text)
        pool = self._house.pool
        column = _COLUMNS.get(key.where)
        if column is not None:
            hits = await searching.find_text(pool, self._account, between, column, text)
        else:
            name = "bcc" if key.where is k.Where.BCC else key.header
            headers = await searching.headers_with(pool, self._account, between, name, text)
            hits = {c for c, header in headers.items() if _has_field(header, name, text)}
        return frozenset(p for p, c in zip(places, contents, strict=True) if c in hits)

    async def _cover(self, places: Sequence[int], *, with_bodies: bool) -> None:
        """See to it that the text of these messages is there."""
        covered = self._view.covered_bodies if with_bodies else self._view.covered_headers
        rest = [p for p in places if self._rows.uids[p] > covered]
        if not rest:
            return
        for start in range(0, len(rest), HEADERS_AT_ONCE):
            part = [self._rows.contents[p] for p in rest[start : start + HEADERS_AT_ONCE]]
            await self._add_headers(await self._missing_headers(part))
            if with_bodies:
                await self._add_bodies(part)
        if len(places) == len(self._rows):  # else messages before these may be missing
            last = self._rows.uids[rest[-1]]
            self._view.covered_headers = max(self._view.covered_headers, last)
            if with_bodies:
                self._view.covered_bodies = max(self._view.covered_bodies, last)

    async def _missing_headers(self, contents: Sequence[int]) -> list[int]:
        return await searching.missing_headers(self._house.pool, self._account, contents)

    async def _add_headers(self, contents: Sequence[int]) -> None:
        if not contents:
            return
        headers = await self._house.contents.column(self._account, "header", contents)
        texts = [header_text(c, header) for c, header in zip(contents, headers, strict=True)]
        await searching.add_headers(self._house.pool, self._account, texts)
        _folded.labels("header").inc(len(texts))

    async def _add_bodies(self, contents: Sequence[int]) -> None:
        house, account = self._house, self._account
        missing = await searching.missing_bodies(house.pool, account, contents)
        if not missing:
            return
        places = await house.contents.places(account, missing)
        gate = asyncio.Semaphore(READS_AT_ONCE)

        async def read(place: Place) -> str:
            async with gate:
                return await self._body_text(place)

        for batch in _batches(places):
            async with house.folding:
                texts = await asyncio.gather(*(read(places[content]) for content in batch))
                await searching.add_bodies(house.pool, account, batch, texts)
            _folded.labels("body").inc(len(batch))

    async def _body_text(self, place: Place) -> str:
        start = len(place.prefix)
        try:
            octets = await self._house.bodies.span(place, start, start + place.size)
        except MissingObject:
            return ""  # it has been told; the others are searched
        parts = unpack_parts(place.parts)
        if len(octets) <= INLINE_OCTETS:
            return search_text(octets, parts)
        return await asyncio.to_thread(search_text, octets, parts)

    async def _internal_days(self, places: Sequence[int]) -> list[date | None]:
        uids = [self._rows.uids[place] for place in places]
        mailbox = self._view.mailbox
        found = await internal_dates(self._house.pool, self._account, mailbox, uids)
        return [
            datetime.fromtimestamp(found[uid], UTC).date() if uid in found else None for uid in uids
        ]

    async def _sent_days(self, places: Sequence[int]) -> list[date | None]:
        contents = [self._rows.contents[place] for place in places]
        days: list[date | None] = []
        for start in range(0, len(contents), HEADERS_AT_ONCE):
            part = contents[start : start + HEADERS_AT_ONCE]
            envelopes = await self._house.contents.column(self._account, "envelope", part)
            days += map(sent_day, envelopes)
            await asyncio.sleep(0)  # cached envelopes keep nobody waiting but others
        return days


def header_text(content: int, header: bytes) -> HeaderText:
    """Fold a header."""
    lines = list(header_lines(header))

    def of(name: str) -> str:
        return "\n".join(text for key, text in lines if key == name)

    return HeaderText(
        content=content,
        sender=of("from"),
        to=of("to"),
        cc=of("cc"),
        subject=of("subject"),
        header="\n".join(f"{name}: {text}" for name, text in lines),
    )


def sent_day(envelope: bytes) -> date | None:
    """Return the day in the Date field as it is written there, None if it is none."""
    found = _FIRST_STRING.match(envelope)
    written = (found[1] or found[2] or b"") if found is not None else b""
    try:
        parsed = parsedate(written.decode("latin-1"))
        return date(*parsed[:3]) if parsed is not None else None
    except (ValueError, TypeError, IndexError):
        return None


def _has_field(header: str, name: str, text: str) -> bool:
    """True if a field called ``name`` has ``text``; an empty text is in any (RFC 3501 §6.4.4)."""
    start = f"{name}:"
    return any(
        line.startswith(start) and text in line[len(start) + 1 :] for line in header.split("\n")
    )


def _is_in_order(day: date, order: k.Order, wanted: date) -> bool:
    match order:
        case k.Order.BEFORE:
            return day < wanted
        case k.Order.ON:
            return day == wanted
        case k.Order.SINCE:
            return day >= wanted


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
