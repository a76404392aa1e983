"""What the commands on daily reports have in common: which domain, which day, what became of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, TypeAlias

import typer

from postmaster.cli.client import connect, path
from postmaster.cli.output import Column, listing, moment, plain

Of: TypeAlias = Annotated[str | None, typer.Argument(metavar="DOMAIN", help="Of this domain only.")]
Day: TypeAlias = Annotated[
    str | None, typer.Option("--day", metavar="DATE", help="As 2026-11-22, in UTC.")
]
Days: TypeAlias = Annotated[
    int | None, typer.Option("--days", metavar="NUMBER", min=1, help="Of the last days only.")
]
Sources: TypeAlias = Annotated[bool, typer.Option("--sources", help="A line for each source.")]
BY_WHOM: Sequence[Column] = [
    ("Domain", "domain", plain),
    ("By", "organization", plain),
    ("Since", "begins", moment),
]
SENT: Sequence[Column] = [
    ("Day", "day", plain),
    ("Domain", "domain", plain),
    ("Done", "done", plain),
    ("How", "how", plain),
]


def show(
    where: Sequence[str],
    query: Mapping[str, object],
    columns: Sequence[Column],
    *,
    as_json: bool,
    empty: str,
) -> None:
    """Print the listing that the API gives at ``where``."""
    with connect() as api:
        listing(api.rows(path(*where), dict(query)), columns, as_json=as_json, empty=empty)


def show_sent(kind: str, domain: str | None, *, as_json: bool) -> None:
    """Print what became of our reports of one kind to others."""
    query = {"domain": domain}
    show((kind, "sent"), query, SENT, as_json=as_json, empty="No report was due.")


def show_received(
    kind: str,
    query: Mapping[str, object],
    columns: Sequence[Column],
    by_source: Sequence[Column] | None,
    *,
    as_json: bool,
) -> None:
    """Print what others report, a line each or, with ``by_source``, a line for each source."""
    query = {**query, "rows": "true" if by_source else None}
    with connect() as api:
        found = list(api.rows(path(kind, "reports"), query))
    lines = [{**each, **row} for each in found for row in each["rows"]] if by_source else found
    shown = [*BY_WHOM, *(by_source or columns)]
    listing(lines, shown, as_json=as_json, empty="No report came.")
