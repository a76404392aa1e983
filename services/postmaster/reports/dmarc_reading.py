"""Reports of others on mail that said it was ours, read as what strangers wrote (RFC 7489 §7.2). Pure.

Bounded is what is unpacked, how deep and how many records; a document that declares anything (DTD,
entities) is not read at all.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any
from xml.parsers import expat

from posthouse.mime.parameters import parse_token
from posthouse.mime.structure import Entity, read_tree
from posthouse.mime.text import decoded_body

MAX_XML_OCTETS = 20 * 2**20
MAX_RECORDS = 50_000
MAX_DEPTH = 20
MAX_CHARACTERS = 1000  # of one value
_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_LEAST_MOMENT, _LAST_MOMENT = 0, 4_102_444_800  # 2100
_CONTAINERS = frozenset({b"application", b"text"})
_STORED, _DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED


class BadReport(ValueError):
    """It looks like a report, and cannot be read."""


@dataclass(frozen=True, slots=True)
class Source:
    """Messages of one client that fared the same way.

    Attributes:
        address: The client's.
        messages: How many.
        disposition: What was done.
        dkim: ``pass`` or ``fail``, aligned.
        spf: Likewise.
        author: The domain of From.
    """

    address: str
    messages: int
    disposition: str
    dkim: str
    spf: str
    author: str

    @property
    def has_passed(self) -> bool:
        """DMARC passed."""
        return "pass" in (self.dkim, self.spf)


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A report.

    Attributes:
        organization: Who reports, in their words.
        report_id: Theirs.
        domain: Whose mail it is about.
        begins: Of the time it covers.
        ends: Likewise.
        sources: What came.
    """

    organization: str
    report_id: str
    domain: str
    begins: datetime
    ends: datetime
    sources: tuple[Source, ...]


def report_in(octets: bytes) -> Received | None:
    """Return the report that a mail brings; None if it brings none. Raises `BadReport`."""
    for body in _attachments(octets):
        document = unpacked(body)
        if b"<feedback" in document[:4096]:
            return parse(document)
    return None


def _attachments(octets: bytes) -> Iterator[bytes]:
    todo: list[Entity] = [read_tree(octets)]
    while todo:
        entity = todo.pop()
        if entity.type.value.startswith(b"multipart/"):
            todo.extend(reversed(entity.children))
        elif entity.type.value.partition(b"/")[0] in _CONTAINERS:
            encoding = parse_token(entity.fields.get(b"content-transfer-encoding", (b"",))[0])
            yield decoded_body(octets[entity.body : entity.end], encoding)


def unpacked(body: bytes) -> bytes:
    """Return what is in a gzip or zip file, at most `MAX_XML_OCTETS`; anything else as it is."""
    try:
        if body.startswith(_GZIP):
            unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
            octets = unpacker.decompress(body, MAX_XML_OCTETS + 1)
            if not unpacker.eof and len(octets) <= MAX_XML_OCTETS:
                raise BadReport("the file is cut off")
        elif body.startswith(_ZIP):
            octets = _first_file(body)
        else:
            octets = body
    except (zlib.error, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as wrong:
        raise BadReport(f"cannot be unpacked: {wrong}") from wrong
    if len(octets) > MAX_XML_OCTETS:
        raise BadReport("it unpacks to too much")
    return octets


def _first_file(body: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        first = next(iter(archive.infolist()), None)
        if first is None or first.compress_type not in {_STORED, _DEFLATED}:
            raise BadReport("an archive without a file that can be read")
        with archive.open(first) as file:
            return file.read(MAX_XML_OCTETS + 1)


@dataclass(slots=True)
class _Walk:
    """The elements as they come: values by path, records one by one."""

    path: list[str] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    record: dict[str, str] = field(default_factory=dict)
    sources: list[Source] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    size: int = 0

    def begin(self, name: str, _: object) -> None:
        if len(self.path) >= MAX_DEPTH:
            raise BadReport("elements too deep")
        self.path.append(name.rpartition(":")[2])
        self.text, self.size = [], 0

    def add(self, text: str) -> None:
        if self.size < MAX_CHARACTERS:
            self.text.append(text)
            self.size += len(text)

    def end(self, _: str) -> None:
        where, value = "/".join(self.path[1:]), "".join(self.text).strip()[:MAX_CHARACTERS]
        self.text, self.size = [], 0
        if where == "record":
            if len(self.sources) >= MAX_RECORDS:
                raise BadReport("too many records")
            self.sources.append(_source(self.record))
            self.record = {}
        elif where.startswith("record/"):
            self.record.setdefault(where.removeprefix("record/"), value)
        else:
            self.values.setdefault(where, value)
        self.path.pop()


def parse(document: bytes) -> Received:
    """Return what the XML says; raise `BadReport`."""
    walk, parser = _Walk(), expat.ParserCreate()
    parser.StartElementHandler = walk.begin
    parser.EndElementHandler = walk.end
    parser.CharacterDataHandler = walk.add
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    try:
        parser.Parse(document, True)  # noqa: FBT003 - expat's: this is all
    except expat.ExpatError as wrong:
        raise BadReport(f"no XML: {wrong}") from wrong
    said = walk.values
    try:
        return Received(
            organization=said["report_metadata/org_name"],
            report_id=said["report_metadata/report_id"],
            domain=said["policy_published/domain"].lower().removesuffix("."),
            begins=_moment(said["report_metadata/date_range/begin"]),
            ends=_moment(said["report_metadata/date_range/end"]),
            sources=tuple(walk.sources),
        )
    except KeyError as missing:
        raise BadReport(f"without {missing.args[0]}") from missing


def _refuse(*_: object) -> None:
    raise BadReport("it declares a document type")


def _source(said: dict[str, str]) -> Source:
    count = said.get("row/count", "0")
    return Source(
        address=said.get("row/source_ip", ""),
        messages=int(count) if count.isascii() and count.isdigit() and len(count) <= 12 else 0,  # noqa: PLR2004 - digits
        disposition=said.get("row/policy_evaluated/disposition", ""),
        dkim=said.get("row/policy_evaluated/dkim", ""),
        spf=said.get("row/policy_evaluated/spf", ""),
        author=said.get("identifiers/header_from", "").lower(),
    )


def _moment(text: str) -> datetime:
    seconds = int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else -1  # noqa: PLR2004 - digits
    if not _LEAST_MOMENT <= seconds <= _LAST_MOMENT:
        raise BadReport("no time of this century")
    return datetime.fromtimestamp(seconds, UTC)


def summary_of(report: Received) -> dict[str, Any]:
    """Return what is kept of ``report``."""
    return {
        "organization": report.organization,
        "report_id": report.report_id,
        "domain": report.domain,
        "begins": report.begins,
        "ends": report.ends,
        "messages": sum(each.messages for each in report.sources),
        "passed": sum(each.messages for each in report.sources if each.has_passed),
    }


def rows_of(report: Received) -> list[dict[str, Any]]:
    """Return its sources as they are kept."""
    return [asdict(each) for each in report.sources]
