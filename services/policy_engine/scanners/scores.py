"""The scores of a scanner's rules as findings of ours. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from policy_engine.content.finding import Finding

MAX_RULES = 100  # of one message; what more there is counts together
MAX_NAME_CHARACTERS = 64
SMALLEST = 0.05  # scanners round each score to a tenth
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_]")


def findings_of(
    scanner: str, total: float, rules: Iterable[tuple[str, float]], weight: float
) -> tuple[Finding, ...]:
    """Return a finding for each of ``rules``, and one that makes up for what ``total`` is besides.

    Args:
        scanner: Stands before the rules' names.
        total: What the scanner says the message comes to.
        rules: Names and scores.
        weight: Times this, all scores count.
    """
    known = [(name, points) for name, points in rules if math.isfinite(points)]
    known.sort(key=lambda each: -abs(each[1]))
    prefix = scanner.upper()
    found = [
        Finding(
            rule=f"{prefix}_{_NOT_IN_NAMES.sub('_', name)[:MAX_NAME_CHARACTERS]}",
            score=round(points * weight, 3),
        )
        for name, points in known[:MAX_RULES]
    ]
    rest = total - sum(points for _, points in known[:MAX_RULES])
    if abs(rest) > SMALLEST * (1 + len(found)) or not found:
        found.append(Finding(rule=prefix, score=round(rest * weight, 3)))
    return tuple(found)
