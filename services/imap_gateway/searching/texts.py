"""Texts of messages that nobody has made searchable yet, in batches bounded in octets.

Headers are folded and kept. Bodies are only looked at, which takes a tenth of that: the indexer makes them
searchable meanwhile. Of these the gateway keeps what takes long to read again, the text of documents.
"""

from __future__ import annotations

import asyncio
from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TypeAlias

from imap_gateway.house import House
from imap_gateway.memory.allowance import Allowance
from posthouse.extraction.jobs import Job
from posthouse.extraction.kinds import has_documents
from posthouse.extraction.workshop import Broken
from posthouse.mime import unpack_parts
from posthouse.mime.indexed import HeaderText, header_text
from posthouse.mime.sifting import body_has
from posthouse.mime.text import may_have, search_text
from posthouse.storage import searching
from posthouse.storage.contents import Place
from posthouse.telemetry.metrics import counter

HEADERS_AT_ONCE = 200
PLACES_AT_ONCE = 200  # some have very many parts
BODIES_AT_ONCE = 200
BODY_OCTETS_AT_ONCE = 8 * 1024 * 1024
DOCUMENT_SECONDS = 60.0  # of one search; the next one goes on where this one stopped

Having: TypeAlias = defaultdict[str, "array[int]"]  # texts, and the contents that have them
_Message: TypeAlias = tuple[bytes, bytes]  # octets, packed parts

_folded = counter("posthouse_imap_texts_folded_total", "Messages made searchable.", "what")
_read = counter(
    "posthouse_imap_texts_read_total", "Bodies read by searches before they were indexed."
)


class Texts:
    """Looks at texts for one search.

    Attributes:
        unread: Contents with documents for which no time was left: the search has not seen these.
        has_left_out: Some headers were not folded, as they have not what is looked for.
    """

    def __init__(self, house: House, account: int, *, is_patient: bool = False) -> None:
        self._house = house
        self._is_patient = is_patient
        self._account = account
        self._documents = Allowance(DOCUMENT_SECONDS)
        self.unread: set[int] = set()
        self.has_left_out = False

    async def add_headers(
        self, contents: Sequence[int], sought: Sequence[str] | None = None
    ) -> None:
        """Fold what nobody has folded yet; with ``sought`` only headers that may have one of these."""
        for start in range(0, len(contents), HEADERS_AT_ONCE):
            if self._is_patient:
                await self._house.folding.step_aside()
            part = contents[start : start + HEADERS_AT_ONCE]
            headers = await self._house.contents.column(self._account, "header", part)
            texts = await asyncio.to_thread(_header_texts, part, headers, sought)
            self.has_left_out |= len(texts) < len(part)
            if texts:
                await searching.add_headers(self._house.pool, self._account, texts)
                _folded.labels("header").inc(len(texts))

    async def read_bodies(
        self, contents: Sequence[int], sought: Sequence[str], having: Having
    ) -> None:
        """Note what of ``sought`` is in which bodies, documents in them included."""
        for start in range(0, len(contents), PLACES_AT_ONCE):
            part = contents[start : start + PLACES_AT_ONCE]
            places = await self._house.contents.places(self._account, part)
            for batch in _batches(places):
                async with self._house.folding.turn(self._account):
                    found = await self._read(batch, sought)
                for content, texts in found.items():
                    for text in texts:
                        having[text].append(content)

    async def _read(
        self, places: Mapping[int, Place], sought: Sequence[str]
    ) -> dict[int, set[str]]:
        objects = await self._house.bodies.objects(list(places.values()))
        messages = {
            content: (octets, place.parts)
            for (content, place), octets in zip(places.items(), objects, strict=True)
            if octets is not None  # else it has been told; the others are searched
        }
        _read.inc(len(messages))
        found, documents = await asyncio.to_thread(_look, messages, sought)
        for content in documents if self._house.workshop.is_open else ():
            text = await self._whole_text(content, places[content], messages[content])
            found[content].update(one for one in sought if one in text)
        return found

    async def _whole_text(self, content: int, place: Place, message: _Message) -> str:
        """Return the text with that of documents, and keep it; an empty one if there is no time for it."""
        text = ""
        with suppress(TimeoutError):
            if self._documents.is_left:
                text = searching.clean(await self._with_documents(content, place, message))
                await self.add_headers([content])
                await searching.add_body(self._house.pool, self._account, content, text)
                _folded.labels("body").inc()
                return text
        self.unread.add(content)
        return text

    async def _with_documents(self, content: int, place: Place, message: _Message) -> str:
        """Return the text with that of documents; raise `TimeoutError` if that takes too long."""
        job = Job(account=self._account, content=content, header=b"", parts=place.parts,
                  octets=message[0], with_documents=True)  # fmt: skip
        try:
            async with self._documents.spend():
                return (await self._house.workshop.make(job)).body
        except Broken:  # it has been told of; the indexer too leaves out what breaks a worker
            return await asyncio.to_thread(search_text, message[0], unpack_parts(message[1]))


def _header_texts(
    contents: Sequence[int], headers: Sequence[bytes], sought: Sequence[str] | None
) -> list[HeaderText]:
    return [
        header_text(content, header)
        for content, header in zip(contents, headers, strict=True)
        if sought is None or any(may_have(header, one) for one in sought)
    ]


def _look(
    messages: Mapping[int, _Message], sought: Sequence[str]
) -> tuple[dict[int, set[str]], list[int]]:
    """Return what of ``sought`` is in which bodies, and which have documents; parts are read one by one."""
    found, documents = dict[int, set[str]](), list[int]()
    for content, (octets, packed) in messages.items():
        parts = unpack_parts(packed)
        found[content] = body_has(octets, parts, sought)
        if has_documents(octets, parts):
            documents.append(content)
    return found, documents


def _batches(places: Mapping[int, Place]) -> Iterable[dict[int, Place]]:
    """Cut them into batches bounded in number and octets."""
    batch: dict[int, Place] = {}
    octets = 0
    for content, place in places.items():
        if batch and (len(batch) >= BODIES_AT_ONCE or octets + place.size > BODY_OCTETS_AT_ONCE):
            yield batch
            batch, octets = {}, 0
        batch[content] = place
        octets += place.size
    if batch:
        yield batch
