"""Many accounts from a CSV file: read, sent in portions, told what became of each row."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TypedDict

from rich.console import Console
from rich.progress import Progress

from postmaster.cli.client import Client, path
from postmaster.cli.failure import Failure
from postmaster.cli.output import print_json, say

PORTION = 500  # accounts per request; each costs the postmaster some 4 ms of hashing
COLUMNS = 2  # address, password
HEADING = ["address", "password"]


class Entry(TypedDict):
    """One row: whom to add, and with which password."""

    address: str
    password: str


class Refused(TypedDict):
    """One row that was not added.

    Attributes:
        line: Its line in the file.
        address: Whom it names.
        reason: Why it was not added.
    """

    line: int
    address: str
    reason: str


def read_rows(file: Path) -> Iterator[tuple[int, Entry]]:
    """Yield line number and account of each row; a heading and empty lines are passed over.

    Raises:
        Failure: If the file is no CSV of two columns; nothing before that line is told apart.
    """
    with file.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.reader(lines, strict=True)
        try:
            for row in reader:
                if not row or (reader.line_num == 1 and row == HEADING):
                    continue
                if len(row) != COLUMNS:
                    raise Failure(f"{file}, line {reader.line_num}: expected address,password.")
                yield reader.line_num, Entry(address=row[0].strip(), password=row[1])
        except (csv.Error, UnicodeDecodeError) as fault:
            raise Failure(f"{file}, line {reader.line_num}: not CSV ({fault}).") from fault


def import_accounts(api: Client, file: Path, *, as_json: bool) -> None:
    """Add the accounts of ``file``; the whole file is read before the first is added.

    Raises:
        Failure: If the file cannot be read, or some rows were refused (they are listed first).
    """
    rows, began, refused = list(read_rows(file)), time.monotonic(), list[Refused]()
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Accounts", total=len(rows))
        entries = iter(rows)
        while portion := list(islice(entries, PORTION)):
            refused += _add(api, portion)
            progress.advance(task, len(portion))
    added = len(rows) - len(refused)
    _tell(added, refused, time.monotonic() - began, as_json=as_json)
    if refused:
        raise Failure(f"{len(refused)} of {len(rows)} accounts were not added.")


def _add(api: Client, portion: list[tuple[int, Entry]]) -> list[Refused]:
    body = {"accounts": [entry for _, entry in portion]}
    answer: dict[str, Any] = api.ask("POST", path("imports", "accounts"), body=body)
    return [
        Refused(line=portion[at["index"]][0], address=at["address"], reason=at["reason"])
        for at in answer["refused"]
    ]


def _tell(added: int, refused: list[Refused], seconds: float, *, as_json: bool) -> None:
    if as_json:
        print_json({"added": added, "refused": refused, "seconds": round(seconds, 1)})
        return
    for row in refused:
        say(f"line {row['line']}: {row['address']}: {row['reason']}")
    say(f"{added} accounts added in {seconds:.1f} s.")
