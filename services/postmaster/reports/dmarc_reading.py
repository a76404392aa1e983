"""Reports of others on mail that said it was ours, read as what strangers wrote (RFC 7489 §7.2).

Bounded is how deep and how many records; a document that declares anything (DTD, entities) is not
read at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from xml.parsers import expat

from posthouse.mail.idn import a_labels
from postmaster.reports.received import BadReport, Received

MAX_RECORDS = 50_000
MAX_DEPTH = 20
MAX_CHARACTERS = 1000  # of one value
_LEAST_MOMENT, _LAST_MOMENT = 0, 4_102_444_800  # 2100


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
    def count(self) -> int:
        """How many messages."""
        return self.messages

    @property
    def has_passed(self) -> bool:
        """DMARC passed."""
        return "pass" in (self.dkim, self.spf)


def is_dmarc_report(document: bytes) -> bool:
    """Return True if ``document`` looks like one."""
    return b"<feedback" in document[:4096]


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
            domain=a_labels(said["policy_published/domain"].lower().removesuffix(".")),
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
