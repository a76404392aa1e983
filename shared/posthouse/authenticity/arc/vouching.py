"""A sealer that is trusted, and says that a message passed DMARC when it came to him (RFC 8617 §7.2.1)."""

from __future__ import annotations

import re
from collections.abc import Collection

from posthouse.authenticity.arc.validating import Arc
from posthouse.mail.header import unfold

MAX_DEPTH = 4  # comments in comments are passed over so deep: each costs another look
_COMMENT = re.compile(rb"\([^()]*\)")
_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"')


def voucher(arc: Arc | None, author: str, trusted: Collection[str]) -> str:
    """Return who is believed that mail of ``author`` was genuine; empty for nobody.

    Args:
        arc: A chain; only one that passes counts.
        author: The domain of From, lower case.
        trusted: Sealers that are believed, lower case. From the newest seal down only an unbroken
            row of these counts: what stands below a stranger's seal he may have made up.
    """
    if arc is None or arc.result != "pass":
        return ""
    for domain, results in zip(reversed(arc.domains), reversed(arc.results), strict=True):
        if domain not in trusted:
            return ""
        if _says_pass(results, author):
            return domain
    return ""


def waits_for(arc: Arc | None, trusted: Collection[str]) -> str:
    """Return the sealer that might vouch, were its key not withheld by DNS now; empty for nobody.

    Only silence of trusted sealers counts: a stranger's nameserver would be silent at his will.
    """
    if arc is None or not arc.is_doubtful or not arc.doubted <= set(trusted):
        return ""
    return arc.domains[-1] if arc.domains[-1] in trusted else ""


def _says_pass(field: bytes, author: str) -> bool:
    """True if an ARC-Authentication-Results ``field`` says that DMARC passed for ``author``."""
    value = _QUOTED.sub(b'""', unfold(field.partition(b":")[2]))
    for _ in range(MAX_DEPTH):
        value = _COMMENT.sub(b" ", value)
    for result in value.lower().split(b";"):
        words = result.split()
        if words and words[0] == b"dmarc=pass":
            return f"header.from={author}".encode() in words
    return False
