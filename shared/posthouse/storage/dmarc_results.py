"""What DMARC made of mail from outside, by UTC day and policy domain (RFC 7489 §7.2).

Bounded: of one domain and day at most `MAX_ROWS` rows are told apart, what comes on top is not
counted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TypeAlias
from uuid import UUID

import msgspec

from posthouse.storage.ledger.entries import storable
from posthouse.storage.pool import Queries, Row
from posthouse.storage.report_days import ReportDays

Key: TypeAlias = tuple[date, str, UUID]

MAX_ROWS = 10_000
DMARC_DAYS = ReportDays("dmarc_results", "dmarc_reports")

_ADD = """
    insert into dmarc_results as r (day, domain, key, facts, messages)
    select t.* from unnest($1::date[], $2::text[], $3::uuid[], $4::text[], $5::bigint[])
                    as t (day, domain, key, facts, messages)
     where (select count(*) from dmarc_results as n where n.day = t.day and n.domain = t.domain) < $6
        or exists (select from dmarc_results as n
                    where n.day = t.day and n.domain = t.domain and n.key = t.key)
     order by day, domain, key
        on conflict (day, domain, key) do update set messages = r.messages + excluded.messages
"""
_LIST = """
    select day, domain, key, facts, messages from dmarc_results
     where (day, domain, key) > ($1, $2, $3) and ($4::text is null or domain = $4)
       and ($5::date is null or day = $5)
     order by day, domain, key limit $6
"""
_OF = """
    select day, domain, key, facts, messages from dmarc_results where day = $1 and domain = $2
     order by messages desc, key
"""


class Signed(msgspec.Struct, frozen=True, array_like=True):
    """What became of one DKIM signature.

    Attributes:
        domain: d=.
        selector: s=.
        result: See RFC 8601 §2.7.1.
    """

    domain: str
    selector: str
    result: str


class Facts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is counted together.

    Attributes:
        published: The policy, as tags: ``p=reject; sp=none; adkim=r; aspf=r; pct=100; fo=0``.
        source: The client's address.
        author: The domain of From.
        sender: The domain of the reverse path; empty for the null path.
        disposition: What was done, as far as DMARC is the reason.
        dkim: An aligned signature passed.
        spf: SPF passed, and is aligned.
        reason: Why something else was done than the policy says: a type of RFC 7489 appendix C.
        comment: More of it.
        spf_domain: Whom SPF was asked about,
        spf_scope: because of what: ``mfrom`` or ``helo``,
        spf_result: and what it said.
        signatures: All of them.
    """

    published: str
    source: str
    author: str
    sender: str = ""
    disposition: str = "none"
    dkim: bool = False
    spf: bool = False
    reason: str = ""
    comment: str = ""
    spf_domain: str = ""
    spf_scope: str = "mfrom"
    spf_result: str = "none"
    signatures: tuple[Signed, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DmarcResult:
    """Messages of one day that fared the same way.

    Attributes:
        day: In UTC.
        domain: Whose policy it is.
        facts: How they fared.
        messages: How many.
    """

    day: date
    domain: str
    facts: Facts
    messages: int = 1

    @property
    def key(self) -> Key:
        """What is counted together."""
        return (self.day, self.domain, key_of(self.facts))

    @property
    def count(self) -> int:
        """How many messages."""
        return self.messages

    def joined(self, earlier: DmarcResult) -> DmarcResult:
        """Return both as one."""
        return replace(self, messages=self.messages + earlier.messages)


def key_of(facts: Facts) -> UUID:
    """Return what tells ``facts`` from others."""
    return UUID(bytes=hashlib.sha256(msgspec.json.encode(facts)).digest()[:16])


async def add_dmarc_results(queries: Queries, results: Sequence[DmarcResult]) -> None:
    """Add ``results`` to what all pods have counted."""
    if not results:
        return
    rows = [
        (*each.key, storable(msgspec.json.encode(each.facts).decode()), each.messages)
        for each in sorted(results, key=lambda each: each.key)
    ]
    await queries.execute(_ADD, *zip(*rows, strict=True), MAX_ROWS)


async def list_dmarc_results(
    queries: Queries, after: Key, limit: int, domain: str | None = None, day: date | None = None
) -> tuple[DmarcResult, ...]:
    """Return results behind ``after``."""
    return tuple(map(_result, await queries.fetch(_LIST, *after, domain, day, limit)))


async def dmarc_results_of(queries: Queries, day: date, domain: str) -> tuple[DmarcResult, ...]:
    """Return the results of one day with one domain, the most frequent first."""
    return tuple(map(_result, await queries.fetch(_OF, day, domain)))


def _result(row: Row) -> DmarcResult:
    return DmarcResult(
        day=row["day"],
        domain=row["domain"],
        facts=msgspec.json.decode(row["facts"], type=Facts),
        messages=row["messages"],
    )
