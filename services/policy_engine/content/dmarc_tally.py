"""What DMARC made of mail, counted for reports (RFC 7489 §7.2)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import partial

from policy_engine.content.authenticated import Authenticated
from policy_engine.content.case import Case
from policy_engine.content.pipeline import Judged
from posthouse.authenticity.arc import Arc
from posthouse.authenticity.dmarc import Dmarc, Record
from posthouse.runtime.tally import Tally
from posthouse.storage.dmarc_results import DmarcResult, Facts, Signed, add_dmarc_results
from posthouse.storage.pool import Pool
from posthouse.telemetry.metrics import counter
from posthouse.telemetry.outages import Outage

EVERY = timedelta(seconds=10)
MAX_SIGNATURES = 10
MAX_CHARACTERS = 255  # of what strangers say: domains and selectors
_REMOTE_IP = re.compile(rb'\bsmtp\.remote-ip="?([0-9A-Fa-f.:]{3,45})')

_dropped = counter(
    "posthouse_policy_dmarc_results_dropped_total",
    "Messages that no DMARC report will know, because PostgreSQL was away for long",
)


class DmarcTally(Tally[DmarcResult]):
    """Counts what was judged."""

    def __init__(self, pool: Pool, every: timedelta = EVERY) -> None:
        super().__init__(
            partial(add_dmarc_results, pool),
            every,
            outage=Outage("DMARC results kept", "DMARC results written again"),
            drop=_dropped.inc,
        )

    def hear(self, judged: Judged) -> None:
        """Count a message if its author's domain wants reports; what comes again is counted then."""
        if judged.judgement.action == "tempfail":
            return
        result = result_of(judged.case, datetime.now(UTC))
        if result is not None:
            self.add(result)


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
        return "local_policy", _cut(f"arc=pass {_chain(senders.arc)}")
    if found.result != "fail" or found.published is None or found.disposition == found.policy:
        return "", ""
    if found.published.record.is_testing:
        return "other", "policy_test_mode (t=y)"
    return "sampled_out", ""


def _chain(arc: Arc | None) -> str:
    """Return the chain that is believed, the newest seal first, and where it began (RFC 8617 §7.2.2)."""
    if arc is None:
        return ""
    seals = enumerate(zip(arc.domains, arc.selectors, strict=True), start=1)
    words = [f"as[{n}].d={domain} as[{n}].s={selector}" for n, (domain, selector) in seals]
    first = _REMOTE_IP.search(arc.results[0]) if arc.results else None
    origin = [f"remote-ip[1]={first[1].decode('ascii', 'replace')}"] if first else []
    return " ".join([*reversed(words), *origin])


def _published(record: Record) -> str:
    tags = {
        "p": record.policy, "sp": record.subdomains, "np": record.missing,
        "adkim": record.dkim_mode, "aspf": record.spf_mode, "pct": str(record.percent),
        "fo": record.options,
    }  # fmt: skip
    return "; ".join(f"{name}={value}" for name, value in tags.items())


def _cut(text: str) -> str:
    return text[:MAX_CHARACTERS]
