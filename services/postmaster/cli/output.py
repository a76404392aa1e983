"""How the command line shows things: tables for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, TypeAlias

import typer
from rich.console import Console
from rich.table import Table

AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

Cell: TypeAlias = Callable[[object], str]
Column: TypeAlias = tuple[str, str, Cell]  # heading, key, how to show it

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
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, _, _ in columns:
        table.add_column(heading, overflow="fold")
    for row in found:
        table.add_row(*(_safe(show(row.get(key))) for _, key, show in columns))
    console().print(table)


def _safe(text: str) -> str:
    """Return a cell without markup: what came from the outside world is shown as it is."""
    return text.replace("[", r"\[")
