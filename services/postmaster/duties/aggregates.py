"""Aggregate reports of others on our domains, kept as they come (RFC 7489 §7.2, RFC 8460 §5.3).

A report on TLS counts only if the domain of its From signed it (RFC 8460 §3); one on DMARC counts
anyhow, with those who signed it beside it. Whose key DNS cannot show now is asked again later.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from posthouse.authenticity.dkim.headers import Header
from posthouse.authenticity.dkim.keys import MAIL, TLS_REPORTS
from posthouse.authenticity.names import Names
from posthouse.mail.header import header_end, unfold
from posthouse.mail.idn import a_labels
from posthouse.mime.addresses import parse_addresses
from posthouse.storage import incoming
from posthouse.storage.incoming import IncomingReport, ReadAs
from posthouse.storage.pool import Pool, transaction
from posthouse.storage.received_reports import (
    DMARC_RECEIVED,
    TLS_RECEIVED,
    ReceivedReport,
    ReceivedReports,
)
from posthouse.telemetry.logs import get_logger
from postmaster.reports.reading import Found, Kind, report_in
from postmaster.reports.received import BadReport, Received
from postmaster.signatures import Signers, signers_of

FIRST_PAUSE = timedelta(minutes=2)  # then 8, 32 and 128: while DNS is silent

log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Manner:
    """How one kind is taken."""

    read_as: ReadAs
    kept_in: ReceivedReports
    services: frozenset[str]
    is_signed: bool  # or it does not count


_MANNERS: dict[Kind, _Manner] = {
    "dmarc": _Manner(
        read_as="dmarc-report", kept_in=DMARC_RECEIVED, services=MAIL, is_signed=False
    ),
    "tls": _Manner(
        read_as="tls-report", kept_in=TLS_RECEIVED, services=TLS_REPORTS, is_signed=True
    ),
}


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of an aggregate report.

    Attributes:
        kind: What it was; None: it waits for DNS.
        is_kept: It is on a domain of ours, counts, and did not come before.
    """

    kind: ReadAs | None
    is_kept: bool = False


async def take_aggregate(
    pool: Pool, names: Names | None, report: IncomingReport, octets: bytes
) -> Taken | None:
    """Keep what others report; None if the mail brings no report. Raises `Unavailable`."""
    if report.subject is not None:
        return None  # it came back to somebody
    try:
        found = await asyncio.to_thread(report_in, octets)
    except BadReport as wrong:
        log.info("aggregate report not understood", envelope=str(report.id), why=str(wrong))
        return None
    if found is None:
        return None
    manner = _MANNERS[found.kind]
    signers = Signers()
    if names is not None and report.size <= len(octets):  # all of it was read
        signers = await signers_of(names, octets, manner.services)
    counts = not manner.is_signed or signers.speak_for(_author(octets))
    undecided = not signers.is_known and not (counts and signers.domains)
    if undecided and await incoming.put_off(pool, report, FIRST_PAUSE):
        log.info("aggregate report waits for DNS", envelope=str(report.id))
        return Taken(None)
    kept = await _keep(pool, report, manner, found if counts else Found(found.kind, ()), signers)
    log.info(
        "aggregate report read",
        envelope=str(report.id),
        kind=found.kind,
        about=[each.domain for each in found.reports],
        signed_by=list(signers.domains),
        kept=kept,
    )
    return Taken(manner.read_as, kept > 0)


async def _keep(
    pool: Pool, report: IncomingReport, manner: _Manner, found: Found, signers: Signers
) -> int:
    """Keep what counts, and that it was read, in one; return how many are new."""
    kept = 0
    async with transaction(pool) as tx:
        for each in found.reports:
            kept += await manner.kept_in.add(tx, _new(report.id, each, signers))
        await incoming.mark_read(tx, report, manner.read_as, None)
    return kept


def _new(message: UUID, received: Received, signers: Signers) -> ReceivedReport:
    return ReceivedReport(
        message=message,
        organization=received.organization,
        report_id=received.report_id,
        domain=received.domain,
        begins=received.begins,
        ends=received.ends,
        signed_by=" ".join(signers.domains),
        total=received.total,
        passed=received.passed,
        rows=received.rows,
    )


def _author(octets: bytes) -> str:
    """Return the domain of the From field, in A-labels; empty if there is not one."""
    header = octets[: header_end(octets)]
    fields = Header(header).all(b"from")
    found = [each for field in fields for each in parse_addresses(unfold(field.partition(b":")[2]))]
    hosts = {each.host.decode("utf-8", "replace").lower() for each in found if each.host}
    return a_labels(hosts.pop()) if len(hosts) == 1 else ""
