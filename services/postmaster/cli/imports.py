"""Many accounts from a CSV file: read, sent in portions, told what became of each row."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, TypeAlias, TypedDict

from rich.console import Console
from rich.progress import Progress

from postmaster.cli.client import Client, forced, path
from postmaster.cli.failure import Failure
from postmaster.cli.output import print_json, say

MAX_ROWS = 100_000  # a file's; they are held in memory
MAX_LINE_OCTETS = 4096
GLANCE = 1000  # accounts per request that only looks at them
PORTION = 250  # accounts per request that adds; each costs the postmaster some 5 ms of hashing
AT_ONCE = 2  # requests that add
COLUMNS = 2  # address, and a password or the hash of one
HEADING = ["address", "password"]
HEADING_OF_HASHES = ["address", "password_hash"]
BOM = b"\xef\xbb\xbf"  # spreadsheets begin UTF-8 with it


class Entry(TypedDict, total=False):
    """One row: whom to add, and with which password, or a hash that another house made of it."""

    address: str
    password: str
    password_hash: str


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

    A line is an account; a heading and empty lines are passed over. Behind the heading
    ``address,password_hash`` come hashes. What is wrong with a line is said without repeating it:
    it may hold a password. Raises `Failure` for a line without end.
    """
    are_hashes = False
    with file.open("rb") as lines:
        for number, octets in enumerate(iter(lambda: lines.readline(MAX_LINE_OCTETS), b""), 1):
            if len(octets) == MAX_LINE_OCTETS:
                raise Failure(f"line {number} of {file} has {MAX_LINE_OCTETS} octets or more")
            row = _row(octets.removeprefix(BOM) if number == 1 else octets)
            if isinstance(row, str):
                yield number, row
            elif number == 1 and row in (HEADING, HEADING_OF_HASHES):
                are_hashes = row == HEADING_OF_HASHES
            elif row:
                yield number, _entry(row[0].strip(), row[1], is_hash=are_hashes)


def _entry(address: str, secret: str, *, is_hash: bool) -> Entry:
    if is_hash:
        return Entry(address=address, password_hash=secret)
    return Entry(address=address, password=secret)


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


@dataclass(slots=True)
class _Tally:
    """What became of the rows so far."""

    rows: int = 0
    added: int = 0
    unchanged: int = 0
    refused: list[Refused] = field(default_factory=list)
    shadowed: list[Refused] = field(default_factory=list)


Rows: TypeAlias = list[tuple[int, Entry]]


def import_accounts(api: Client, file: Path, *, force: bool, as_json: bool) -> None:
    """Add the accounts of ``file``; rows that cannot be added are told, the others are added.

    All rows are looked at before the first is added. Accounts that are there already are left as
    they are. If some would get no mail or take another's, nothing is added unless it is forced.

    Raises:
        Failure: If the API breaks off, some rows were refused, or nothing was added; what became
            of the rows until then is told first.
    """
    began, tally = time.monotonic(), _Tally()
    try:
        with Progress(console=Console(stderr=True), transient=True) as progress:
            good = _look_at(api, _sort_out(file, tally), tally, progress)
            if force or not tally.shadowed:
                _add(api, good, tally, progress, force=force)
    finally:
        _tell(tally, time.monotonic() - began, as_json=as_json)
    if tally.shadowed and not force:
        raise Failure(
            f"Nothing was added: the mail of {len(tally.shadowed)} accounts would go astray. "
            "Remove these aliases, or add --force if you mean that."
        )
    if tally.refused:
        raise Failure(f"{len(tally.refused)} of {tally.rows} accounts were not added.")


def _sort_out(file: Path, tally: _Tally) -> Rows:
    """Return the rows that are accounts, each address once; tell the others."""
    good: Rows = []
    seen: set[str] = set()
    for line, row in read_rows(file):
        tally.rows += 1
        if tally.rows > MAX_ROWS:
            raise Failure(f"{file} has more than {MAX_ROWS} accounts: split it.")
        if isinstance(row, str):
            tally.refused.append(Refused(line=line, address="", reason=row))
        elif row["address"].lower() in seen:
            reason = "stands twice in the file"
            tally.refused.append(Refused(line=line, address=row["address"], reason=reason))
        else:
            seen.add(row["address"].lower())
            good.append((line, row))
    return good


def _look_at(api: Client, rows: Rows, tally: _Tally, progress: Progress) -> Rows:
    """Return the rows that can be added, and tell the others; nothing is changed."""
    bad: set[int] = set()
    for portion in progress.track(list(_portions(rows, GLANCE)), description="Looking at them"):
        answer = _ask(api, portion, {"dry_run": True})
        refused = _told(portion, answer["refused"])
        tally.refused += refused
        tally.shadowed += _told(portion, answer["shadowed"])
        bad.update(row["line"] for row in refused)
    return [(line, entry) for line, entry in rows if line not in bad]


def _add(api: Client, rows: Rows, tally: _Tally, progress: Progress, *, force: bool) -> None:
    """Add them, two portions at a time: one is hashed while the other is written."""
    task = progress.add_task("Adding accounts", total=len(rows))
    writing = Lock()

    def add(portion: Rows) -> None:
        answer = _ask(api, portion, {}, query=forced(force=force))
        with writing:
            tally.added += answer["added"]
            tally.unchanged += answer["unchanged"]
            tally.refused += _told(portion, answer["refused"])
        progress.advance(task, len(portion))

    with ThreadPoolExecutor(AT_ONCE) as workers:
        for _ in workers.map(
            add, _portions(rows, PORTION)
        ):  # a failure calls off what has not begun
            pass


def _portions(rows: Rows, size: int) -> Iterator[Rows]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _ask(
    api: Client, portion: Rows, how: dict[str, bool], query: dict[str, str] | None = None
) -> dict[str, Any]:
    body = {"accounts": [entry for _, entry in portion], **how}
    return api.ask("POST", path("imports", "accounts"), body=body, query=query)


def _told(portion: Rows, rows: list[dict[str, Any]]) -> list[Refused]:
    return [
        Refused(line=portion[row["index"]][0], address=row["address"], reason=row["reason"])
        for row in rows
    ]


def _tell(tally: _Tally, seconds: float, *, as_json: bool) -> None:
    refused = sorted(tally.refused, key=lambda row: row["line"])
    if as_json:
        counts = {"added": tally.added, "unchanged": tally.unchanged, "refused": refused}
        print_json({**counts, "shadowed": tally.shadowed, "seconds": round(seconds, 1)})
        return
    for row in sorted(refused + tally.shadowed, key=lambda row: row["line"]):
        who = f"{row['address']} " if row["address"] else ""
        say(f"line {row['line']}: {who}{row['reason']}")
    there = f"{tally.unchanged} left as they were, " if tally.unchanged else ""
    say(f"{tally.added} added, {there}{len(refused)} refused, in {seconds:.1f} s.")
