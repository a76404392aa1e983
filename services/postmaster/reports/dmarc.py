"""The aggregate report on a day's mail of one domain: its XML (RFC 7489 §7.2, appendix C)."""

from __future__ import annotations

import gzip
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date
from xml.sax.saxutils import escape

from posthouse.storage.dmarc_results import DmarcResult, Facts
from postmaster.reports.letter import LAST_SECOND, Form, Letterhead, Report, first_second

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0 §2.2
_VERSION = "1.0"
_DEFAULTS = (
    ("adkim", "r"), ("aspf", "r"), ("p", "none"), ("sp", "none"), ("pct", "100"), ("fo", "0"),
)  # fmt: skip


def compose(head: Letterhead, day: date, domain: str, results: Sequence[DmarcResult]) -> Report:
    """Return the report on ``results``, all of ``day`` and ``domain``."""
    ident = f"{day:%Y%m%d}.{domain}@{head.host}"
    lines = (
        '<?xml version="1.0" encoding="UTF-8"?>',
        "<feedback>",
        _leaf("version", _VERSION),
        *_metadata(head, day, ident),
        *_policy(domain, results),
        *(line for each in results for line in _record(each)),
        "</feedback>",
        "",
    )
    content = gzip.compress("\n".join(lines).encode(), mtime=0)
    return Report(domain=domain, day=day, id=ident, content=content, form=_form(head, day, domain))


def _form(head: Letterhead, day: date, domain: str) -> Form:
    return Form(
        container="multipart/mixed",
        media_type="application/gzip",
        extension="xml.gz",
        about=(
            f"This is an aggregate DMARC report (RFC 7489) from {head.organization}: what became of "
            f"mail that said it was of {domain} on {day:%F} (UTC)."
        ),
    )


def _metadata(head: Letterhead, day: date, ident: str) -> Iterator[str]:
    begins = first_second(day)
    yield "<report_metadata>"
    yield _leaf("org_name", head.organization)
    yield _leaf("email", head.address)
    yield _leaf("report_id", ident)
    yield "<date_range>"
    yield _leaf("begin", begins)
    yield _leaf("end", begins + LAST_SECOND)
    yield "</date_range>"
    yield "</report_metadata>"


def _policy(domain: str, results: Sequence[DmarcResult]) -> Iterator[str]:
    """Yield what was published; of several records on one day the one that most messages met."""
    met = Counter[str]()
    for each in results:
        met[each.facts.published] += each.messages
    published = met.most_common(1)[0][0] if met else ""
    tags = dict(part.split("=", 1) for part in published.split("; ") if "=" in part)
    yield "<policy_published>"
    yield _leaf("domain", domain)
    for name, default in _DEFAULTS:
        yield _leaf(name, tags.get(name, default))
    yield "</policy_published>"


def _record(result: DmarcResult) -> Iterator[str]:
    facts = result.facts
    yield "<record>"
    yield "<row>"
    yield _leaf("source_ip", facts.source)
    yield _leaf("count", result.messages)
    yield "<policy_evaluated>"
    yield _leaf("disposition", facts.disposition)
    yield _leaf("dkim", "pass" if facts.dkim else "fail")
    yield _leaf("spf", "pass" if facts.spf else "fail")
    if facts.reason:
        comment = _leaf("comment", facts.comment) if facts.comment else ""
        yield f"<reason>{_leaf('type', facts.reason)}{comment}</reason>"
    yield "</policy_evaluated>"
    yield "</row>"
    yield "<identifiers>"
    yield _leaf("envelope_from", facts.sender)
    yield _leaf("header_from", facts.author)
    yield "</identifiers>"
    yield from _auth_results(facts)
    yield "</record>"


def _auth_results(facts: Facts) -> Iterator[str]:
    yield "<auth_results>"
    for each in facts.signatures:
        selector = _leaf("selector", each.selector) if each.selector else ""
        yield f"<dkim>{_leaf('domain', each.domain)}{selector}{_leaf('result', each.result)}</dkim>"
    scope = _leaf("scope", facts.spf_scope)
    domain, result = _leaf("domain", facts.spf_domain), _leaf("result", facts.spf_result)
    yield f"<spf>{domain}{scope}{result}</spf>"
    yield "</auth_results>"


def _leaf(name: str, value: object) -> str:
    return f"<{name}>{escape(_NOT_XML.sub('?', str(value)))}</{name}>"
