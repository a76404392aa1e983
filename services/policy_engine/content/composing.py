"""The header as it is stored: what was found on top of it, forgeries of ours taken out. Pure.

What is no spam gets no field but Authentication-Results. What is tagged gets the fields that mail
programs and Sieve scripts know from SpamAssassin, and what stands before its Subject, if that is set.
"""

from __future__ import annotations

import re

from policy_engine.content.case import Case
from policy_engine.content.pipeline import Judged
from policy_engine.content.verdict import Judgement
from posthouse.authenticity.results import results_field, without_results
from posthouse.mail.header import fold

MAX_STARS = 50
MAX_TESTS = 100  # named in X-Spam-Status
_OURS = re.compile(rb"(?im)^x-spam-(?:flag|score|level|status)[ \t]*:(?:[^\n]|\n[ \t])*\n?")
_SUBJECT = re.compile(rb"(?im)^(subject[ \t]*:[ \t]*)")
_END = b"\r\n"


def composed(judged: Judged, hostname: str, *, tag_at: float, prefix: str = "") -> bytes:
    """Return the header of ``judged``'s case with what was found.

    Args:
        judged: The case and its verdict.
        hostname: Whose name our fields have.
        tag_at: The score from which on a message is spam.
        prefix: What is put before the Subject of a tagged message.
    """
    case, its = judged.case, judged.judgement
    header = without_results(case.octets[: case.body_start], hostname)
    if not case.auth:  # nobody else tells our readers what is spam
        header = _OURS.sub(b"", header)
    fields = results_field(
        hostname, list(case.senders.results(case.sender, case.hello, case.client))
    )
    if its.action in {"tag", "quarantine"}:
        fields += spam_fields(its, tag_at)
        header = _marked(header, prefix.encode("ascii")) if prefix else header
    return fields + header


def spam_fields(its: Judgement, tag_at: float) -> bytes:
    """Return the fields that say how much it looks like spam, and why."""
    hits = [each.rule for each in its.findings if each.score and not each.is_shadow]
    tests = ", ".join(hits[:MAX_TESTS] or its.decided_by) or "none"
    stars = "*" * min(max(int(its.score), 0), MAX_STARS)
    status = f"Yes, score={its.score:.1f} required={tag_at:.1f} tests={tests}"
    return b"".join((
        fold("X-Spam-Flag", "YES"),
        fold("X-Spam-Score", f"{its.score:.1f}"),
        fold("X-Spam-Level", stars) if stars else b"",
        fold("X-Spam-Status", status),
    ))  # fmt: skip


def _marked(header: bytes, prefix: bytes) -> bytes:
    """Put ``prefix`` before the text of the first Subject, which is made if there is none."""
    found = _SUBJECT.search(header)
    if found is None:
        return b"Subject: " + prefix + _END + header
    return header[: found.end()] + prefix + b" " + header[found.end() :]


def is_changed(case: Case, header: bytes) -> bool:
    """True if ``header`` is not the one that ``case`` came with."""
    return header != case.octets[: case.body_start]
