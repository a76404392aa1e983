"""Folded texts of messages that nobody has made searchable yet, in batches bounded in octets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import TypeVar

from imap_gateway.house import House
from imap_gateway.memory.allowance import Allowance
from posthouse.extraction.jobs import Job
from posthouse.extraction.kinds import has_documents
from posthouse.extraction.workshop import Broken
from posthouse.mail.errors import MissingObject
from posthouse.mime import Parts, unpack_parts
from posthouse.mime.indexed import HeaderText, header_text
from posthouse.mime.text import may_have, search_text
from posthouse.storage import searching
from posthouse.storage.contents import Place
from posthouse.storage.searching import BodyText, Missing
from posthouse.telemetry.metrics import counter

HEADERS_AT_ONCE = 200
BODIES_AT_ONCE = 200
BODY_OCTETS_AT_ONCE = 8 * 1024 * 1024
INLINE_OCTETS = 16 * 1024  # a larger message is folded in a thread
READS_AT_ONCE = 16
DOCUMENT_SECONDS = 60.0  # of one search; the next one goes on where this one stopped
_T = TypeVar("_T")

_folded = counter("posthouse_imap_texts_folded_total", "Messages made searchable.", "what")


class Texts:
    """Makes texts for one search.

    Attributes:
        unread: Contents with documents for which no time was left: the search has not seen these.
        has_left_out: Some headers were not folded, as they have not what is looked for.
    """

    def __init__(self, house: House, account: int) -> None:
        self._house = house
        self._account = account
        self._documents = Allowance(DOCUMENT_SECONDS)
        self.unread: set[int] = set()
        self.has_left_out = False

    async def make(
        self, missing: Sequence[Missing], *, with_bodies: bool, sought: str | None = None
    ) -> None:
        """Fold what nobody has folded yet; with ``sought`` only headers that may have this text."""
        for start in range(0, len(missing), HEADERS_AT_ONCE):
            part = missing[start : start + HEADERS_AT_ONCE]
            headers = [one.content for one in part if one.lacks_header]
            if headers:
                await self._add_headers(headers, sought)
            if with_bodies:
                await self._add_bodies([one.content for one in part if self._may_help(one)])

    def _may_help(self, one: Missing) -> bool:
        """Say whether reading the body finds more than is kept already."""
        if one.lacks_documents_only and not self._documents.is_left:
            self.unread.add(one.content)
            return False
        return True

    async def _add_headers(self, contents: Sequence[int], sought: str | None) -> None:
        headers = await self._house.contents.column(self._account, "header", contents)
        texts = await asyncio.to_thread(_header_texts, contents, headers, sought)
        self.has_left_out |= len(texts) < len(contents)
        if texts:
            await searching.add_headers(self._house.pool, self._account, texts)
            _folded.labels("header").inc(len(texts))

    async def _add_bodies(self, contents: Sequence[int]) -> None:
        house, account = self._house, self._account
        places = await house.contents.places(account, contents)
        gate = asyncio.Semaphore(READS_AT_ONCE)

        async def read(content: int, place: Place) -> BodyText:
            async with gate:
                return await self._body_text(content, place)

        for batch in _batches(places):
            async with house.folding.turn(account):
                texts = await asyncio.gather(*(read(content, places[content]) for content in batch))
                await searching.add_bodies(house.pool, account, batch, texts)
            _folded.labels("body").inc(len(batch))

    async def _body_text(self, content: int, place: Place) -> BodyText:
        start = len(place.prefix)
        try:
            octets = await self._house.bodies.span(place, start, start + place.size)
        except MissingObject:
            return BodyText("")  # it has been told; the others are searched
        parts = unpack_parts(place.parts)
        if not self._house.workshop.is_open or not await _near(has_documents, octets, parts):
            return BodyText(await _near(search_text, octets, parts))
        with suppress(TimeoutError):
            if self._documents.is_left:
                return BodyText(await self._with_documents(content, place, octets))
        self.unread.add(content)
        return BodyText(await _near(search_text, octets, parts), lacks_documents=True)

    async def _with_documents(self, content: int, place: Place, octets: bytes) -> str:
        """Return the text with that of documents; raise `TimeoutError` if that takes too long."""
        job = Job(account=self._account, content=content, header=b"", parts=place.parts,
                  octets=octets, with_documents=True)  # fmt: skip
        try:
            async with self._documents.spend():
                return (await self._house.workshop.make(job)).body
        except Broken:  # it has been told of; the indexer too leaves out what breaks a worker
            return await _near(search_text, octets, unpack_parts(place.parts))


async def _near(look: Callable[[bytes, Parts], _T], octets: bytes, parts: Parts) -> _T:
    """Look at a message, in a thread if it is large."""
    if len(octets) <= INLINE_OCTETS:
        await asyncio.sleep(
            0
        )  # where reading did not wait, hundreds would follow without a turn for others
        return look(octets, parts)
    return await asyncio.to_thread(look, octets, parts)


def _header_texts(
    contents: Sequence[int], headers: Sequence[bytes], sought: str | None
) -> list[HeaderText]:
    return [
        header_text(content, header)
        for content, header in zip(contents, headers, strict=True)
        if sought is None or may_have(header, sought)
    ]


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
