"""Reports of others on our domains (RFC 7489 §7.2, RFC 8460); each counts once.

One `ReceivedReports` for each kind. Which reports are one: those of the same signer, organization and
id on the same domain; so nobody makes us take a forged one for the genuine one that comes later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from posthouse.mail.idn import u_labels
from posthouse.storage.ledger.entries import storable
from posthouse.storage.pool import Queries

MAX_ROWS = 1000  # kept of one report, the most frequent first
KEEP = timedelta(days=400)  # a year, to compare with
_BEGINNING = (UUID(int=0), "")

_ADD = """
    insert into {table} (message, organization, report_id, domain, begins, ends, signed_by, {total},
                         passed, rows)
    select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10::text::jsonb
     where exists (select from domains where domain = any ($11::text[]))
        on conflict do nothing
"""
_LIST = """
    select message, came_at, organization, report_id, domain, begins, ends, signed_by,
           {total} as total, passed, case when $6 then rows::text else '[]' end as rows
      from {table}
     where (message, domain) > ($1, $2) and ($3::text is null or domain = $3)
       and ($4::timestamptz is null or ends > $4)
     order by message, domain limit $5
"""
_FORGET = "delete from {table} where came_at < now() - $1::interval"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedReport:
    """One report on one domain.

    Attributes:
        message: The mail that brought it.
        organization: Who reports, in their words.
        report_id: Theirs.
        domain: Whom it is about.
        begins: Of the time it covers.
        ends: Likewise.
        signed_by: Whose signature of the mail holds; empty: nobody's.
        total: How much came.
        passed: How much of it was as it should be.
        rows: By source, the most frequent first.
        came_at: When it came; nothing of one to be kept.
    """

    message: UUID
    organization: str
    report_id: str
    domain: str
    begins: datetime
    ends: datetime
    signed_by: str
    total: int
    passed: int
    rows: Sequence[Mapping[str, Any]] = ()
    came_at: datetime | None = None


class ReceivedReports:
    """The reports of one kind."""

    def __init__(self, table: str, total: str) -> None:
        """Keep them in ``table``, where the column ``total`` says how much came."""
        self._add = _ADD.format(table=table, total=total)
        self._list = _LIST.format(table=table, total=total)
        self._forget = _FORGET.format(table=table)

    async def add(self, queries: Queries, report: ReceivedReport) -> bool:
        """Keep a report; False if it is not on a domain of ours, or came before."""
        rows = msgspec.json.encode(report.rows[:MAX_ROWS]).decode().replace("\\u0000", "?")
        added = await queries.execute(
            self._add,
            report.message,
            storable(report.organization),
            storable(report.report_id),
            storable(report.domain),
            report.begins,
            report.ends,
            storable(report.signed_by),
            report.total,
            report.passed,
            rows,
            sorted(_upwards(report.domain)),
        )
        return bool(added)

    async def listed(
        self,
        queries: Queries,
        after: tuple[UUID, str] = _BEGINNING,
        limit: int = 100,
        *,
        domain: str | None = None,
        since: datetime | None = None,
        with_rows: bool = False,
    ) -> tuple[ReceivedReport, ...]:
        """Return reports in the order in which they came, behind ``after``."""
        found = await queries.fetch(self._list, *after, domain, since, limit, with_rows)
        return tuple(
            ReceivedReport(**{**dict(row), "rows": tuple(msgspec.json.decode(row["rows"]))})
            for row in found
        )

    async def forget(self, queries: Queries) -> int:
        """Remove reports that came longer than `KEEP` ago; return how many."""
        return await queries.execute(self._forget, KEEP)


def _upwards(domain: str) -> set[str]:
    """Return ``domain`` and all above it, in A-labels and in U-labels: as it may be one of ours."""
    forms = (storable(form).split(".") for form in (domain, u_labels(domain)))
    return {".".join(labels[at:]) for labels in forms for at in range(len(labels))}


DMARC_RECEIVED = ReceivedReports("dmarc_received", "messages")
TLS_RECEIVED = ReceivedReports("tls_received", "sessions")
