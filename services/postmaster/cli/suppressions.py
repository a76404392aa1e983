"""Commands on the suppression list."""

from __future__ import annotations

from typing import Annotated

import typer

from postmaster.cli.client import connect, path
from postmaster.cli.help import Commands
from postmaster.cli.output import AsJson, Column, listing, moment, plain, say

suppression = Commands("Recipients outside who get nothing any more.")

EVERYBODY = "*"
Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="Who, as name@domain.")]
Whose = Annotated[
    str,
    typer.Option(metavar="WHOSE", help="Whose mail: a domain's, an account's, '*' for all."),
]
COLUMNS: list[Column] = [
    ("Address", "address", plain),
    ("Whose mail", "whose", plain),
    ("Reason", "reason", plain),
    ("Since", "since", moment),
    ("Until", "expires_at", moment),
    ("Note", "note", plain),
]


@suppression.add("list")
def suppression_list(
    *,
    address: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Only of this recipient.")
    ] = None,
    whose: Annotated[
        str | None, typer.Option(metavar="WHOSE", help="Only for mail of these.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List who gets nothing, by address."""
    with connect() as api:
        rows = api.rows(path("suppressions"), {"address": address, "whose": whose})
        listing(rows, COLUMNS, as_json=as_json, empty="Nobody is suppressed.")


@suppression.add("add")
def suppression_add(
    address: Address,
    *,
    whose: Whose = EVERYBODY,
    note: Annotated[str, typer.Option(metavar="TEXT", help="Why; kept with the row.")] = "",
    days: Annotated[
        int | None, typer.Option(metavar="NUMBER", min=1, help="For how long; without: for ever.")
    ] = None,
) -> None:
    """Send an address nothing any more: its mail bounces by the rule of that name."""
    with connect() as api:
        api.ask("PUT", path("suppressions", address, whose), body={"note": note, "days": days})
    say(f"{address} gets no mail of {'anybody' if whose == EVERYBODY else whose} any more.")


@suppression.add("remove")
def suppression_remove(address: Address, *, whose: Whose = EVERYBODY) -> None:
    """Take an address off the list; what it bounced is forgotten."""
    with connect() as api:
        api.ask("DELETE", path("suppressions", address, whose))
    say(f"{address} gets mail of {'everybody' if whose == EVERYBODY else whose} again.")
