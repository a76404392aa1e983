"""Many accounts from a CSV file: read, sent in portions, told what became of each row."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator
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
BOM = b"\xef\xbb\xbf"  # spreadsheets begin UTF-8 with it


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


def read_rows(file: Path) -> Iterator[tuple[int, Entry | str]]:
    """Yield line number and account of each line, or why it is none.

    A line is an account; a heading and empty lines are passed over. What is wrong with a line is
    said without repeating it: it may hold a password.
    """
    with file.open("rb") as lines:
        for number, octets in enumerate(lines, start=1):
            row = _row(octets.removeprefix(BOM) if number == 1 else octets)
            if isinstance(row, str):
                yield number, row
            elif row and not (number == 1 and row == HEADING):
                yield number, Entry(address=row[0].strip(), password=row[1])


def _row(octets: bytes) -> list[str] | str:
    """Return the two fields of a line, none of an empty one, or why it has not two."""
    try:
        text = octets.decode().rstrip("\r\n")
        row = next(csv.reader([text], strict=True), [])
    except csv.Error as fault:
        return f"not CSV ({fault})"
    except UnicodeDecodeError:
        return "not UTF-8"
    if row and len(row) != COLUMNS:
        return f"{len(row)} fields, not address,password (quote a password with a comma)"
    return row


def import_accounts(api: Client, file: Path, *, as_json: bool) -> None:
    """Add the accounts of ``file``; rows that cannot be added are told, the others are added.

    Raises:
        Failure: If the API breaks off, or some rows were refused; what became of the rows until
            then is told first.
    """
    rows, began, refused = list(read_rows(file)), time.monotonic(), list[Refused]()
    entries = [(line, entry) for line, entry in rows if not isinstance(entry, str)]
    refused += [
        Refused(line=line, address="", reason=reason)
        for line, reason in rows
        if isinstance(reason, str)
    ]
    sent, unreadable = 0, len(refused)
    try:
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("Accounts", total=len(entries))
            while sent < len(entries):
                portion = entries[sent : sent + PORTION]
                refused += _add(api, portion)
                sent += len(portion)
                progress.advance(task, len(portion))
    finally:
        added = sent + unreadable - len(refused)
        _tell(added, sorted(refused, key=_line), time.monotonic() - began, as_json=as_json)
    if refused:
        raise Failure(f"{len(refused)} of {len(rows)} accounts were not added.")


def _line(row: Refused) -> int:
    return row["line"]


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
        who = f"{row['address']}: " if row["address"] else ""
        say(f"line {row['line']}: {who}{row['reason']}")
    say(f"{added} added, {len(refused)} refused, in {seconds:.1f} s.")
