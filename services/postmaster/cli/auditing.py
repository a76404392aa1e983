"""Commands on the audit: who decided what."""

from __future__ import annotations

from typing import Annotated

import typer

from postmaster.cli.client import connect, path
from postmaster.cli.help import Commands
from postmaster.cli.output import AsJson, Column, listing, moment, plain

audit = Commands("Who decided what, when, and of how many.")

COLUMNS: list[Column] = [
    ("No.", "id", plain),
    ("Began (UTC)", "began_at", moment),
    ("Ended", "ended_at", lambda at: moment(at) or "not"),
    ("Who", "actor", plain),
    ("What", "action", plain),
    ("Of which", "chosen", plain),
    ("Detail", "detail", plain),
    ("Found", "found", plain),
    ("Changed", "changed", plain),
    ("Busy", "busy", plain),
]


@audit.add("list")
def audit_list(
    *,
    limit: Annotated[
        int, typer.Option(metavar="NUMBER", min=1, max=1000, help="How many, newest first.")
    ] = 50,
    as_json: AsJson = False,
) -> None:
    """List what was decided; what has not ended is under way, or was broken off."""
    with connect() as api:
        rows = api.ask("GET", path("audit"), query={"limit": limit})["items"]
    listing(rows, COLUMNS, as_json=as_json, empty="Nothing was decided.")
