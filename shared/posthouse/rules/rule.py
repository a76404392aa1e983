"""What a rule is, and what is wrong with a line that should have been one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

Kind: TypeAlias = Literal["header", "body", "rawbody", "full", "uri", "meta", "score"]
KINDS: Final[tuple[str, ...]] = get_args(Kind)

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
SUB = "__"  # names of rules that only others build on begin so: they have no score
TRIED = "T_"  # those of rules that are tried out get next to none
SCORE_SETS: Final = 4
NETWORK, NETWORK_AND_BAYES = 1, 3  # which of four scores counts; we always ask the network
MAX_SCORE: Final = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule.

    Attributes:
        name: Of it and of its finding.
        kind: What it looks at; ``score`` gives points to what another check finds.
        source: Its test as it was written: ``Subject =~ /pills/i``.
        scores: One, or four: without network and Bayes, with network, with Bayes, with both
            (SpamAssassin's order); empty for the usual one.
        about: For people.
        flags: Of SpamAssassin's ``tflags``: ``nice``, ``multiple``, ``maxhits=3`` mean something.
        file: Where it was read; empty for the only one.
        line: And there.
    """

    name: str
    kind: Kind
    source: str = ""
    scores: tuple[float, ...] = ()
    about: str = ""
    flags: tuple[str, ...] = ()
    file: str = ""
    line: int = 0

    @property
    def is_sub(self) -> bool:
        """True if only others build on it."""
        return self.name.startswith(SUB)

    def score(self, *, has_bayes: bool) -> float:
        """Return its points."""
        if self.is_sub:
            return 0.0
        if len(self.scores) == SCORE_SETS:
            return self.scores[NETWORK_AND_BAYES if has_bayes else NETWORK]
        if self.scores:
            return self.scores[0]
        usual = 0.01 if self.name.startswith(TRIED) else 1.0
        return -usual if "nice" in self.flags else usual

    @property
    def is_off(self) -> bool:
        """True if it gets no points whatever happens, which turns a rule off."""
        return not self.is_sub and bool(self.scores) and not any(self.scores)

    @property
    def max_hits(self) -> int:
        """How often it counts in one message for those that build on it."""
        if "multiple" not in self.flags:
            return 1
        told = [flag.partition("=")[2] for flag in self.flags if flag.startswith("maxhits=")]
        return max(min(int(told[0]), MAX_HITS), 1) if told and told[0].isdecimal() else MAX_HITS


MAX_HITS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A line that is not, or not wholly, taken.

    Attributes:
        file: Where it stands; empty for the only one.
        line: Its number; 0 for what stands in no file.
        text: How it begins.
        why: Why.
    """

    file: str = ""
    line: int
    text: str
    why: str


def fault_of(rule: Rule, why: str) -> Fault:
    """Return why ``rule`` as a whole is left out."""
    return Fault(file=rule.file, line=rule.line, text=rule.source, why=why)


class BadRule(ValueError):
    """It is no rule that we can run; says why."""
