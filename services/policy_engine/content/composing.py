"""The header as it is stored: what was found on top of it, forgeries of ours taken out. Pure.

The fields X-Spam-* are those that mail programs and Sieve scripts know from SpamAssassin, written as it
writes them. A stranger's message in which something was found that counts has X-Spam-Status and the stars,
so that readers can set a level of their own; what is tagged has X-Spam-Flag, too, and what stands before
its Subject, if that is set.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from policy_engine.content.case import Case
from policy_engine.content.pipeline import Judged
from policy_engine.content.verdict import Judgement
from posthouse.authenticity.results import results_field, without_results
from posthouse.mail.header import LINE_CHARACTERS, fold

MAX_STARS = 50
MAX_TESTS = 100  # named in X-Spam-Status
MAX_LINE_OCTETS = 998  # RFC 5322 §2.1.1, without the line's end
_OURS = re.compile(rb"(?im)^x-spam-[!-9;-~]*[ \t]*:(?:[^\n]++|\n[ \t])*+\n?")
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
    is_marked = its.action in {"tag", "quarantine"}
    if is_marked or (not case.is_trusted and _counted(its)):
        fields += spam_fields(its, tag_at, is_marked=is_marked)
    if is_marked and prefix:
        header = _marked(header, prefix.encode("ascii"))
    return fields + header


def spam_fields(its: Judgement, tag_at: float, *, is_marked: bool) -> bytes:
    """Return the fields that say how much it looks like spam, and why."""
    stars = "*" * min(max(int(its.score), 0), MAX_STARS)
    said = "Yes" if is_marked else "No"
    head = f"{said}, score={its.score:.1f} required={tag_at:.1f} tests="
    return b"".join((
        fold("X-Spam-Flag", "YES") if is_marked else b"",
        fold("X-Spam-Score", f"{its.score:.1f}"),
        fold("X-Spam-Level", stars) if stars else b"",
        fold("X-Spam-Status", _listed(head, _counted(its) or its.decided_by)),
    ))  # fmt: skip


def _counted(its: Judgement) -> Sequence[str]:
    """Return the names of what was found that counts, each once."""
    return tuple(
        dict.fromkeys(each.rule for each in its.findings if each.score and not each.is_shadow)
    )


def _listed(head: str, names: Sequence[str]) -> str:
    """Return ``head`` with names that commas part, in lines broken behind a comma, as SpamAssassin's."""
    lines, room = [head], LINE_CHARACTERS - 2 - len("X-Spam-Status: ")
    for at, name in enumerate(names[:MAX_TESTS]):
        comma = "," if at else ""
        if len(lines[-1]) + len(comma) + len(name) + 1 > room and at:
            lines[-1] += comma
            lines.append(name)
            room = LINE_CHARACTERS - 8  # a tab is as wide as that
        else:
            lines[-1] += comma + name
    return "\n".join(lines) + ("" if names else "none")


def _marked(header: bytes, prefix: bytes) -> bytes:
    """Put ``prefix`` before the text of the first Subject, once; one is made if there is none."""
    found = _SUBJECT.search(header)
    if found is None:
        return b"Subject: " + prefix + _END + header
    before, text = header[: found.end()], header[found.end() :]
    if text.startswith(prefix):
        return header
    is_long = len(found[0]) + len(prefix) + 1 + len(text.partition(b"\n")[0]) > MAX_LINE_OCTETS
    return before + prefix + (b"\r\n " if is_long else b" ") + text


def is_changed(case: Case, header: bytes) -> bool:
    """True if ``header`` is not the one that ``case`` came with."""
    return header != case.octets[: case.body_start]
