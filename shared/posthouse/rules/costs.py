"""What patterns cost at worst: each is run over texts made to cost it as much as they can. Pure, but for the clock.

RE2 takes time linear in the text, times the size of the pattern where its automaton would be too
large: `.{500}` over noise costs a thousand times what a word does. Such a rule is told before it is
active, and left out.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator
from typing import Final

import re2

from posthouse.rules.compiled import Compiled
from posthouse.rules.letter import MAX_TEXT_OCTETS
from posthouse.rules.perl import options
from posthouse.rules.rule import Fault, fault_of

MOST_SECONDS: Final = 0.1  # of CPU for one rule, of any text
HEAVY: Final = 100  # RE2's instructions; what has fewer stays below that

_NOISE: Final = hashlib.shake_128(b"posthouse").digest(MAX_TEXT_OCTETS)
_NOT_LITERAL = re.compile(rb"\(\?[a-z]+\)|\\[a-zA-Z]|\{[\d,]+\}|[^A-Za-z0-9 .:/@_-]")
_ALWAYS: Final = b" 0a"


def too_slow(compiled: Compiled, most_seconds: float = MOST_SECONDS) -> dict[str, Fault]:
    """Return the rules that cost more than ``most_seconds``; CPU work, some seconds for thousands."""
    found = dict[str, Fault]()
    for group in compiled.groups:
        for rule, test in zip(group.rules, group.tests, strict=True):
            seconds = cost(test.pattern, most_seconds)
            if seconds > most_seconds:
                why = (
                    f"takes {seconds:.2f} s of CPU for a hostile text of {len(_NOISE) // 1024} KiB, "
                    f"more than {most_seconds:g}"
                )
                found[rule.name] = fault_of(rule, why)
    return found


def cost(pattern: bytes, enough: float = MOST_SECONDS) -> float:
    """Return the seconds of CPU that ``pattern`` takes at worst, or of the first text above ``enough``."""
    regexp = re2.compile(pattern, options())
    worst = 0.0
    if regexp.programsize < HEAVY:
        return worst
    for text in _hostile(pattern):
        began = time.thread_time()
        regexp.search(text)
        worst = max(worst, time.thread_time() - began)
        if worst > enough:
            break
    return worst


def _hostile(pattern: bytes) -> Iterator[bytes]:
    """Yield texts of what stands in ``pattern``: its words, and noise of its characters."""
    literal = _NOT_LITERAL.sub(b" ", pattern)
    yield (b" ".join(literal.split()) + b" ") * (len(_NOISE) // max(len(literal), 2))
    for part in (literal, literal[: len(literal) // 2], literal.lstrip()[:1]):
        alphabet = bytes(dict.fromkeys(part + _ALWAYS))
        table = bytes(alphabet[octet % len(alphabet)] for octet in range(256))
        yield _NOISE.translate(table)
