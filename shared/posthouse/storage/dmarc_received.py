"""Reports of others on mail that said it was of our domains (RFC 7489 §7.2); each counts once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from posthouse.storage.ledger.entries import storable
from posthouse.storage.pool import Queries

MAX_ROWS = 1000  # kept of one report, the most frequent first
_BEGINNING = UUID(int=0)

_ADD = """
    insert into dmarc_received (message, organization, report_id, domain, begins, ends, signed_by,
                                messages, passed, rows)
    select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10::text::jsonb
     where exists (select from domains where domain = $4 or $4 like '%.' || domain)
        on conflict do nothing
"""
_LIST = """
    select message, came_at, organization, report_id, domain, begins, ends, signed_by, messages, passed,
           case when $5 then rows::text else '[]' end as rows
      from dmarc_received
     where message > $1 and ($2::text is null or domain = $2) and ($3::timestamptz is null or ends > $3)
     order by message limit $4
"""
_FORGET = "delete from dmarc_received where came_at < now() - $1::interval"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedReport:
    """One report.

    Attributes:
        message: The mail that brought it.
        came_at: When.
        organization: Who reports, in their words.
        report_id: Theirs.
        domain: Whose mail it is about.
        begins: Of the time it covers.
        ends: Likewise.
        signed_by: Whose signature of the mail holds; empty: nobody's.
        messages: How many came.
        passed: How many of these were genuine.
        rows: By source: ``address``, ``messages``, ``disposition``, ``dkim``, ``spf``, ``author``.
    """

    message: UUID
    came_at: datetime
    organization: str
    report_id: str
    domain: str
    begins: datetime
    ends: datetime
    signed_by: str
    messages: int
    passed: int
    rows: tuple[Mapping[str, Any], ...] = ()


async def add_received(
    queries: Queries,
    message: UUID,
    report: Mapping[str, Any],
    signed_by: str,
    rows: Sequence[Mapping[str, Any]],
) -> bool:
    """Keep a report; False if it is not on a domain of ours, or came before.

    ``report`` has the other fields of `ReceivedReport` by their names.
    """
    kept = sorted(rows, key=lambda row: -int(row["messages"]))[:MAX_ROWS]
    return bool(
        await queries.execute(
            _ADD,
            message,
            storable(report["organization"]),
            storable(report["report_id"]),
            storable(report["domain"]),
            report["begins"],
            report["ends"],
            storable(signed_by),
            report["messages"],
            report["passed"],
            msgspec.json.encode(kept).decode().replace("\\u0000", "?"),
        )
    )


async def received_reports(
    queries: Queries,
    after: UUID = _BEGINNING,
    limit: int = 100,
    *,
    domain: str | None = None,
    since: datetime | None = None,
    with_rows: bool = False,
) -> tuple[ReceivedReport, ...]:
    """Return reports in the order in which they came, behind ``after``."""
    found = await queries.fetch(_LIST, after, domain, since, limit, with_rows)
    return tuple(
        ReceivedReport(**{**dict(row), "rows": tuple(msgspec.json.decode(row["rows"]))})
        for row in found
    )


async def forget_received(queries: Queries, keep: timedelta) -> int:
    """Remove reports that came longer than ``keep`` ago; return how many."""
    return await queries.execute(_FORGET, keep)
