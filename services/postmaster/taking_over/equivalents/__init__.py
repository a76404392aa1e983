"""What settings of Postfix, SpamAssassin and qmail are called here: one table, for imports and for people.

A line of a table is ``NAME, NAME<tab>what there is here, or why there is nothing``, in Markdown; a name
may end in ``*``. ``# `` begins a heading. The README of policy shows all of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias

System: TypeAlias = Literal["postfix", "spamassassin", "qmail"]

_MARKUP = re.compile(r"\[([^\]]*)\]\([^)]*\)|`([^`]*)`")


@dataclass(frozen=True, slots=True)
class Row:
    """Settings that have the same counterpart.

    Attributes:
        heading: What they are about.
        names: Theirs.
        ours: In Markdown.
    """

    heading: str
    names: tuple[str, ...]
    ours: str


@cache
def rows(system: System) -> tuple[Row, ...]:
    """Return all lines of a table."""
    found, heading = [], ""
    text = Path(__file__).with_name(f"{system}.tsv").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.startswith("# "):
            heading = line[2:]
        else:
            names, _, ours = line.partition("\t")
            found.append(Row(heading, tuple(names.split(", ")), ours))
    return tuple(found)


def equivalent(system: System, name: str) -> str:
    """Return what a setting is here, in plain words; empty if the table does not know it."""
    for row in rows(system):
        if any(fnmatchcase(name, each) for each in row.names):
            return _MARKUP.sub(lambda found: found[1] or found[2], row.ours)
    return ""
