"""Entries of allow and deny lists that an import has found: compared with what is there, and written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from posthouse.storage.access import EVERYBODY
from postmaster.cli.client import Client, path
from postmaster.taking_over.changes import Left, NewAccess

PORTION = 500  # entries a request
MARK = "imported: "  # comment of what an import has written, with the name of its file

Row: TypeAlias = dict[str, Any]


@dataclass(slots=True)
class Report:
    """What became of an import.

    Attributes:
        changed: What is different now, or would be.
        same: How much was there already.
        left: What is not taken.
    """

    changed: list[str] = field(default_factory=list)
    same: int = 0
    left: list[Left] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lists:
    """The list of the house, as it is written.

    Attributes:
        api: By whom.
        source: The name of the file; it stands in the comment of what it has brought.
        replaces: What an import of a file of that name has brought before, and this one does not,
            is removed.
        is_dry: Nothing is written.
    """

    api: Client
    source: str
    replaces: bool = False
    is_dry: bool = False

    def write(self, wanted: Sequence[NewAccess], report: Report) -> None:
        """Write what is not so already; what somebody has written by hand goes before an import."""
        if not wanted and not self.replaces:
            return
        rows = self.api.rows(path("policy", "access"), {"whose": EVERYBODY})
        there = {(row["kind"], row["key"]): row for row in rows}
        last = {(each.kind, each.key): each for each in wanted}
        new = [each for at, each in last.items() if not _is_so(there.get(at), each)]
        report.same += len(last) - len(new)
        gone = [row for at, row in there.items() if at not in last and self._is_ours(row)]
        gone = gone if self.replaces else []
        for some in _portions(new):
            self._send({"entries": [_line(each) for each in some]})
            report.changed += [_words(_line(each)) for each in some]
        for some in _portions(gone):
            self._send({"remove": [{"kind": row["kind"], "key": row["key"]} for row in some]})
            report.changed += [f"no more: {_words(row)}" for row in some]

    def _is_ours(self, row: Row) -> bool:
        return bool(row["comment"] == self._comment)

    @property
    def _comment(self) -> str:
        return f"{MARK}{self.source}"

    def _send(self, body: Row) -> None:
        if not self.is_dry:
            told = {**body, "whose": EVERYBODY, "comment": self._comment}
            self.api.ask("POST", path("policy", "access"), body=told)


def _is_so(row: Row | None, wanted: NewAccess) -> bool:
    return row is not None and all(row[name] == value for name, value in _line(wanted).items())


def _line(entry: NewAccess) -> Row:
    return {
        "kind": entry.kind,
        "key": entry.key,
        "action": entry.action,
        "text": entry.text,
        "score": entry.score,
    }


def _words(line: Row) -> str:
    points = f" {line['score']:g}" if line["score"] else ""
    return f"{line['action']} {line['kind']} {line['key']}{points}"


def _portions(some: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(some), PORTION):
        yield some[start : start + PORTION]
