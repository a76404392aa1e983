"""The report that a mail of strangers brings, if it brings one: which kind, and on what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from postmaster.reports import dmarc_reading, tls_reading
from postmaster.reports.opening import files_of, unpacked
from postmaster.reports.received import Received

Kind: TypeAlias = Literal["dmarc", "tls"]


@dataclass(frozen=True, slots=True)
class Found:
    """What a mail brings.

    Attributes:
        kind: What it tells of.
        reports: One for each domain.
    """

    kind: Kind
    reports: tuple[Received, ...]


def report_in(octets: bytes) -> Found | None:
    """Return what a mail brings; None if that is no report. Raises `BadReport`."""
    for body in files_of(octets):
        document = unpacked(body)
        if dmarc_reading.is_dmarc_report(document):
            return Found("dmarc", (dmarc_reading.parse(document),))
        if tls_reading.is_tls_report(document):
            return Found("tls", tls_reading.parse(document))
    return None
