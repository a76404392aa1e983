"""Commands on limits: who has used how much of its rates."""

from __future__ import annotations

from typing import Annotated

import typer

from postmaster.cli.client import connect, path
from postmaster.cli.help import Commands
from postmaster.cli.output import AsJson, listing, plain, say

limit = Commands("Limits: what clients and accounts have used of their rates.")

COLUMNS = [
    ("Who", "who", plain),
    ("What", "what", plain),
    ("Count", "count", plain),
    ("Of", "most", plain),
    ("Full", "full", plain),
    ("Empty in s", "seconds", plain),
]


@limit.add("list")
def limit_list(
    who: Annotated[
        str | None,
        typer.Argument(metavar="WHO", help="A client's address or network, or an account."),
    ] = None,
    *,
    full: Annotated[bool, typer.Option("--full", help="Only who is put off now.")] = False,
    as_json: AsJson = False,
) -> None:
    """List what is counted now, over all pods; a count that has run out is not kept."""
    with connect() as api:
        rows = [row for row in api.rows(path("limits"), {"who": who}) if row["full"] or not full]
    nothing = "Nobody is put off." if full else "Nothing is counted."
    listing(rows, COLUMNS, as_json=as_json, empty=nothing)


@limit.add("reset")
def limit_reset(
    who: Annotated[
        str, typer.Argument(metavar="WHO", help="A client's address or network, or an account.")
    ],
) -> None:
    """Forget what is counted of a client or an account: it may go on a second after its next try."""
    with connect() as api:
        removed = api.ask("DELETE", path("limits", who))["removed"]
    say(f"{removed} counts of {who} removed." if removed else f"Nothing was counted of {who}.")
