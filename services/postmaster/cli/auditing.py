"""Commands on the audit: who decided what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from postmaster.cli.client import connect, path
from postmaster.cli.help import Commands
from postmaster.cli.output import AsJson, moment, print_json, say

audit = Commands("Who decided what, when, and of how many.")


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
    if as_json:
        print_json(rows)
        return
    for row in rows:
        _tell(row)
    if not rows:
        say("Nothing was decided.")


def _tell(row: Mapping[str, Any]) -> None:
    said = f": {row['detail']}" if row["detail"] else ""
    say(
        f"{row['id']:>6}  {moment(row['began_at'])}  {row['actor']}  {row['action']} {row['chosen']}{said}"
    )
    ended = f"ended {moment(row['ended_at'])}" if row["ended_at"] else "not ended"
    ended += f", {row['outcome']}" if row["outcome"] else ""
    busy = f", {row['busy']} left because they were being delivered" if row["busy"] else ""
    say(f"        {row['found']} found, {row['changed']} changed{busy}; {ended}")
