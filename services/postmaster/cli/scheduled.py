"""Commands on mail that starts on its way later, because its sender wants that (RFC 4865)."""

from __future__ import annotations

from typing import Annotated

import typer

from postmaster.cli.client import connect, path
from postmaster.cli.failure import confirm
from postmaster.cli.help import Commands
from postmaster.cli.output import AsJson, listing, moment, plain, say

scheduled = Commands("Mail that starts on its way later, because its sender wants that.")

Ident = Annotated[str, typer.Argument(metavar="ID", help="The id in the log or the listing.")]


@scheduled.add("list")
def scheduled_list(
    *,
    account: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Only of this account.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List it, with the time at which it starts."""
    columns = [("Id", "id", plain), ("Account", "account", plain), ("Until", "release_at", moment)]
    with connect() as api:
        rows = api.rows(path("held"), {"account": account})
        listing(rows, columns, as_json=as_json, empty="Nothing is scheduled.")


@scheduled.add("start")
def scheduled_start(ident: Ident) -> None:
    """Start a mail on its way now."""
    with connect() as api:
        api.ask("POST", path("held", ident, "release"))
    say(f"{ident} starts now.")


@scheduled.add("cancel")
def scheduled_cancel(
    ident: Ident,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """End a mail that has not started; nobody gets it, and nobody is told."""
    if not yes:
        confirm("End this mail without delivery?", "Nothing was cancelled.")
    with connect() as api:
        api.ask("DELETE", path("held", ident))
    say(f"{ident} is cancelled.")
