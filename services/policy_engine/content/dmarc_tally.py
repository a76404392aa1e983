"""What DMARC made of mail, counted here and added to PostgreSQL every now and then (RFC 7489 §7.2).

Counting never gets in the way of mail: while PostgreSQL is away it waits, bounded; what a crash takes
with it, no report knows.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import TracebackType

from policy_engine.content.authenticated import Authenticated
from policy_engine.content.case import Case
from policy_engine.content.pipeline import Judged
from posthouse.authenticity.dmarc import Dmarc, Record
from posthouse.mail.errors import Unavailable
from posthouse.runtime.duties import Duties
from posthouse.storage.dmarc_results import DmarcResult, Facts, Key, Signed, add_dmarc_results
from posthouse.storage.pool import Pool
from posthouse.telemetry.metrics import counter
from posthouse.telemetry.outages import Outage

EVERY = timedelta(seconds=10)
MAX_KINDS = 20_000  # that wait here; more are not counted
BATCH = 500
FLUSH_AT_END = timedelta(seconds=5)
MAX_SIGNATURES = 10
MAX_CHARACTERS = 255  # of what strangers say: domains and selectors

_dropped = counter(
    "posthouse_policy_dmarc_results_dropped_total",
    "Messages that no DMARC report will know, because PostgreSQL was away for long",
)


class DmarcTally:
    """Counts what was judged; use it as a context manager."""

    def __init__(self, pool: Pool, every: timedelta = EVERY) -> None:
        self._pool = pool
        self._every = every
        self._counts: dict[Key, DmarcResult] = {}
        self._duties = Duties()
        self._outage = Outage("DMARC results kept", "DMARC results written again")

    async def __aenter__(self) -> DmarcTally:
        await self._duties.begin(self._keep_writing())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self._duties.end(kind, raised, trace)
        finally:
            with suppress(Unavailable, TimeoutError):
                async with asyncio.timeout(FLUSH_AT_END.total_seconds()):
                    await self.flush()

    def hear(self, judged: Judged) -> None:
        """Count a message if its author's domain wants reports."""
        result = result_of(judged.case, datetime.now(UTC))
        if result is not None:
            self._add(result)

    def _add(self, result: DmarcResult) -> None:
        before = self._counts.get(result.key)
        if before is None and len(self._counts) >= MAX_KINDS:
            _dropped.inc(result.messages)
            return
        count = result.messages + (before.messages if before else 0)
        self._counts[result.key] = replace(result, messages=count)

    async def flush(self) -> None:
        """Write what was counted; `Unavailable` if that is not possible now: it is kept."""
        while self._counts:
            taken = [self._counts.pop(key) for key in list(self._counts)[:BATCH]]
            try:
                await add_dmarc_results(self._pool, taken)
            except BaseException:  # also when cancelled: written twice is better than never
                for result in taken:
                    self._add(result)
                raise

    async def _keep_writing(self) -> None:
        while True:
            await asyncio.sleep(self._every.total_seconds())
            try:
                await self.flush()
            except Unavailable as away:
                self._outage.away(str(away))
            else:
                self._outage.over()


def result_of(case: Case, now: datetime) -> DmarcResult | None:
    """Return what is reported of ``case``; None if its author's domain wants no reports."""
    found, senders = case.senders.dmarc, case.senders
    if found is None or found.published is None or found.result not in {"pass", "fail"}:
        return None
    record = found.published.record
    if not record.reports_to:
        return None
    reason, comment = _reason(found, senders)
    spf = senders.spf
    facts = Facts(
        published=_published(record),
        source=case.client,
        author=_cut(found.domain),
        sender=_cut(case.sender.rpartition("@")[2].lower()),
        disposition="none" if senders.vouched else found.disposition,
        dkim=found.by_dkim is not None,
        spf=found.by_spf,
        reason=reason,
        comment=comment,
        spf_domain=_cut(spf.domain) if spf else "",
        spf_scope="mfrom" if case.sender else "helo",
        spf_result=spf.result if spf else "none",
        signatures=tuple(
            Signed(_cut(each.domain), _cut(each.selector), each.result)
            for each in senders.signatures[:MAX_SIGNATURES]
        ),
    )
    return DmarcResult(day=now.date(), domain=found.published.domain, facts=facts)


def _reason(found: Dmarc, senders: Authenticated) -> tuple[str, str]:
    """Return why not the published policy was applied (RFC 7489 §7.2; RFC 8617 §7.2.2)."""
    if senders.vouched:
        return "local_policy", f"arc=pass as[1].d={_cut(senders.vouched)}"
    if found.result == "fail" and found.disposition != found.policy:
        return "sampled_out", ""
    return "", ""


def _published(record: Record) -> str:
    tags = {
        "p": record.policy, "sp": record.subdomains, "np": record.missing,
        "adkim": record.dkim_mode, "aspf": record.spf_mode, "pct": str(record.percent),
    }  # fmt: skip
    return "; ".join(f"{name}={value}" for name, value in tags.items())


def _cut(text: str) -> str:
    return text[:MAX_CHARACTERS]
