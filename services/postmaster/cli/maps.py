"""Commands on maps of addresses."""

from __future__ import annotations

from typing import Annotated

import typer

from postmaster.cli.client import connect, path
from postmaster.cli.help import Commands
from postmaster.cli.output import AsJson, Column, listing, plain, say

maps = Commands(
    "What becomes of senders and recipients: canonical, sender-canonical, recipient-canonical, "
    "masquerade, generic, virtual, sender-bcc, recipient-bcc, transport, relocated, hold-sender, "
    "hold-recipient."
)

Name = Annotated[str, typer.Argument(metavar="MAP", help="Which map.")]
Key = Annotated[
    str,
    typer.Argument(
        metavar="KEY",
        help="Whom it means: name@domain, name@ in all domains of ours, /pattern/ (RE2), @domain, "
        "@.domain for all below it, '*' for all; 'null' for reports, which only hold-sender takes.",
    ),
]
COLUMNS: list[Column] = [("Map", "map", plain), ("Key", "key", plain), ("Says", "targets", plain)]


@maps.add("set")
def map_set(
    name: Name,
    key: Key,
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="VALUE",
            help="What becomes of them: addresses, or @domain to keep the local part; a next hop "
            "for transport, the new address for relocated, a reason for hold; for masquerade those "
            "who are excepted.",
        ),
    ] = None,
) -> None:
    """Write an entry, replacing that of its key."""
    with connect() as api:
        api.ask("PUT", path("policy", "maps", name, key), body={"targets": targets or []})
    say(f"{name} {key}: {', '.join(targets or ['-'])}.")


@maps.add("list")
def map_list(
    *,
    name: Annotated[str | None, typer.Option("--map", metavar="MAP", help="Only this one.")] = None,
    as_json: AsJson = False,
) -> None:
    """List entries, by map and key."""
    with connect() as api:
        rows = api.rows(path("policy", "maps"), {"map_name": name})
        listing(rows, COLUMNS, as_json=as_json, empty="Nothing is written.")


@maps.add("remove")
def map_remove(name: Name, key: Key) -> None:
    """Remove an entry."""
    with connect() as api:
        api.ask("DELETE", path("policy", "maps", name, key))
    say(f"{name} says nothing of {key} any more.")


@maps.add("query")
def map_query(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="A sender or a recipient.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Tell what each map makes of an address, and by which entry."""
    with connect() as api:
        found = api.ask("GET", path("policy", "maps", "query"), query={"address": address})
    columns = [*COLUMNS[:2], ("Becomes", "becomes", plain)]
    listing(found["items"], columns, as_json=as_json, empty=f"No map says anything of {address}.")
