"""How the command line shows things: tables for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, TypeAlias

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

Cell: TypeAlias = Callable[[object], str]
Column: TypeAlias = tuple[str, str, Cell]  # heading, key, how to show it

# Ids are copied by hand, so they are never broken; nor are times.
WHOLE = ("id", "envelope", "fingerprint", "time", "after")
# What a narrow terminal can do without, in this order; --json has it all.
LEAVES_FIRST = ("message_id", "service", "state", "envelope", "sender")
WIDEST = 10_000  # columns

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP = 1024


def console() -> Console:
    """Return where answers go; made anew so that it follows a redirected stdout."""
    return Console(highlight=False)


def say(text: str) -> None:
    """Print one sentence."""
    console().print(text, markup=False, soft_wrap=True)


def plain(value: object) -> str:
    """Return a value as a cell: nothing for None, a list with commas, a moment to the second."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def moment(value: object) -> str:
    """Return an RFC 3339 time to the second, in UTC."""
    return str(value)[:19].replace("T", " ") if value else ""


def octets(value: object) -> str:
    """Return a size in the unit that reads best; nothing for None."""
    if value is None:
        return ""
    amount, unit = float(str(value)), 0
    while amount >= _STEP and unit < len(_UNITS) - 1:
        amount, unit = amount / _STEP, unit + 1
    return f"{amount:.0f} B" if unit == 0 else f"{amount:.1f} {_UNITS[unit]}"


def recipients(count: int) -> str:
    """Return so many recipients in words."""
    return "1 recipient" if count == 1 else f"{count} recipients"


def print_json(value: object) -> None:
    """Print a value as JSON."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def listing(
    rows: Iterable[Mapping[str, Any]],
    columns: Sequence[Column],
    *,
    as_json: bool,
    empty: str,
) -> None:
    """Print rows as JSON or as a table with ``columns``."""
    found = list(rows)
    if as_json:
        print_json(found)
        return
    if not found:
        say(empty)
        return
    shown, paper = list(columns), console()
    while _too_wide(table := _table(found, shown), paper):
        leaving = [column for column in shown if column[1] in LEAVES_FIRST]
        if not leaving:
            break
        shown.remove(min(leaving, key=lambda column: LEAVES_FIRST.index(column[1])))
    paper.print(table)


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, key, show in columns:
        whole = key in WHOLE or show is moment
        table.add_column(heading, overflow="fold", no_wrap=whole)
    for row in rows:
        table.add_row(*(_safe(show(row.get(key))) for _, key, show in columns))
    return table


def _too_wide(table: Table, paper: Console) -> bool:
    """True if the table would have to break a word."""
    return Measurement.get(paper, paper.options.update(width=WIDEST), table).minimum > paper.width


def _safe(text: str) -> str:
    """Return a cell without markup: what came from the outside world is shown as it is."""
    return text.replace("[", r"\[")
