"""What others report to us: each report on one of our domains, whatever its kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import Field, asdict, dataclass
from datetime import datetime
from typing import Any, ClassVar, Protocol


class BadReport(ValueError):
    """It looks like a report, and cannot be read."""


class Source(Protocol):
    """What came from one place and fared the same way: a dataclass, kept as it is."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def count(self) -> int:
        """How often."""

    @property
    def has_passed(self) -> bool:
        """Nothing was wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A report.

    Attributes:
        organization: Who reports, in their words.
        report_id: Theirs.
        domain: What it is about.
        begins: Of the time it covers.
        ends: Likewise.
        sources: What came.
    """

    organization: str
    report_id: str
    domain: str
    begins: datetime
    ends: datetime
    sources: Sequence[Source]

    @property
    def total(self) -> int:
        """How much came."""
        return sum(each.count for each in self.sources)

    @property
    def passed(self) -> int:
        """How much of it was as it should be."""
        return sum(each.count for each in self.sources if each.has_passed)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The sources as they are kept, the most frequent first."""
        return [asdict(each) for each in sorted(self.sources, key=lambda each: -each.count)]
