"""Bounces without a part for programs: what qmail and older Exims write. Pure.

qmail (QSBMF, cr.yp.to/proto/qsbmf.txt): paragraphs, the first begins with ``Hi. This is the``; those
of recipients begin with ``<address>:``; one that begins with ``-`` ends them, behind it is the copy.

Exim names the recipients in the field ``X-Failed-Recipients``; in its text each stands by itself,
indented by two, with its reason below, indented by four.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_LINES = 20_000
_QMAIL_OPENING = "Hi. This is the"
_COPY = re.compile(r"-{3,} ?(?:Below this line is|This is|The following is|Enclosed is) a copy of ")
_QMAIL_RECIPIENT = re.compile(r"<([^<>\s]{1,320})>:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What a text says.

    Attributes:
        refusals: Recipients, and what was said of each.
        copy: What stands behind the text, usually the mail that was sent or its header.
    """

    refusals: tuple[tuple[str, str], ...]
    copy: bytes


def read_prose(text: bytes, failed: str) -> Notice | None:
    """Read the text of a bounce; None if it is none.

    Args:
        text: The body, or its first text part.
        failed: The value of ``X-Failed-Recipients``; empty if there is none.
    """
    lines = text.decode("utf-8", "replace").splitlines()[:MAX_LINES]
    end = next((at for at, line in enumerate(lines) if _COPY.match(line)), len(lines))
    copy = "\r\n".join(lines[end + 1 :]).lstrip().encode() + b"\r\n\r\n"
    if lines and lines[0].startswith(_QMAIL_OPENING):
        refusals = tuple(_of_qmail(lines[:end]))
    elif failed:
        named = dict.fromkeys(each.strip() for each in failed.split(",") if each.strip())
        refusals = tuple(_of_exim(lines[:end], list(named)))
    else:
        return None
    return Notice(refusals=refusals, copy=copy) if refusals else None


def _of_qmail(lines: list[str]) -> Iterator[tuple[str, str]]:
    address, said = "", list[str]()
    for line in [*lines, ""]:
        found = _QMAIL_RECIPIENT.fullmatch(line.strip())
        if address and (found or not line.strip()):
            yield address, " ".join(said)
            address = ""
        if found:
            address, said = found[1], []
        elif address:
            said.append(line.strip())


def _of_exim(lines: list[str], failed: list[str]) -> Iterator[tuple[str, str]]:
    reasons: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in lines:
        word = line.strip()
        if word in failed and line.startswith("  "):
            current = reasons.setdefault(word, [])
        elif current is not None and line.startswith("    "):
            current.append(word)
        elif not word:
            current = None
    yield from ((address, " ".join(reasons.get(address, ()))) for address in failed)
