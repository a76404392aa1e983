"""Blocks of ``if``, ``ifplugin``, ``else``, ``endif``: which of them concern us."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from posthouse.rules.expressions import read_expression
from posthouse.rules.rule import BadRule

VERSION: Final = 4.000000  # the SpamAssassin whose language we read
# What of SpamAssassin's parts exists here under another name, so that rules for it are taken.
PLUGINS: Final = frozenset(
    f"Mail::SpamAssassin::Plugin::{name}" for name in ("Check", "SPF", "DKIM", "Bayes", "DMARC")
)
FEATURES: Final = frozenset({
    "Mail::SpamAssassin::Conf::perl_min_version_5010000",
    "Mail::SpamAssassin::Conf::feature_blocklist_welcomelist",
})  # fmt: skip
MAX_DEPTH: Final = 50

_ASKED = re.compile(r"\b(plugin|can|has|defined|local|version)\b(?:\s*\(\s*([\w:]+)\s*\))?")


def holds(condition: str) -> bool:
    """Return what ``condition`` of an ``if`` comes to; raise `BadRule`."""

    def answer(asked: re.Match[str]) -> str:
        word, what = asked[1], asked[2]
        if word == "version":
            return f"{VERSION:.6f}"
        known = PLUGINS if word == "plugin" else FEATURES
        return "1" if what in known else "0"

    return bool(read_expression(_ASKED.sub(answer, condition)).value({}))


@dataclass(slots=True)
class _Block:
    is_ours: bool
    condition: str


@dataclass(slots=True)
class Blocks:
    """The blocks that are open."""

    _open: list[_Block] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """True within a block."""
        return bool(self._open)

    def takes(self, line: str) -> bool:
        """Return True if ``line`` opens or ends a block; raise `BadRule` if it is not for us."""
        word, _, rest = line.partition(" ")
        if word.startswith("if("):
            word, rest = "if", line[2:]
        match word:
            case "if":
                self._enter(_Block(is_ours=True, condition=rest))
                self._open[-1].is_ours = holds(rest)
            case "ifplugin":
                self._enter(_Block(is_ours=rest.strip() in PLUGINS, condition=rest.strip()))
            case "else" if self._open:
                self._open[-1].is_ours = not self._open[-1].is_ours
            case "endif" if self._open:
                self._open.pop()
            case "else" | "endif":
                raise BadRule(f"{word} without if")
            case _:
                self._refuse()
                return False
        return True

    def _enter(self, block: _Block) -> None:
        if len(self._open) >= MAX_DEPTH:
            raise BadRule(f"blocks are nested deeper than {MAX_DEPTH}")
        self._open.append(block)

    def _refuse(self) -> None:
        for block in self._open:
            if not block.is_ours:
                raise BadRule(f"stands in a block that is not for us: {block.condition.strip()}")
