"""Commands on sealers whose word counts (ARC)."""

from __future__ import annotations

from typing import Annotated

import typer

from postmaster.cli.client import connect, path
from postmaster.cli.help import Commands
from postmaster.cli.output import AsJson, listing, moment, plain, say

sealer = Commands("Mailing lists and forwarders that are believed (ARC).")

Sealer = Annotated[str, typer.Argument(metavar="DOMAIN", help="As in d= of its seals.")]


@sealer.add("trust")
def sealer_trust(
    domain: Sealer,
    *,
    note: Annotated[str, typer.Option(metavar="TEXT", help="Who that is.")] = "",
) -> None:
    """Believe it when it says that mail was genuine before it changed it."""
    with connect() as api:
        api.ask("PUT", path("policy", "sealers", domain), body={"note": note})
    say(f"Seals of {domain} are believed.")


@sealer.add("distrust")
def sealer_distrust(domain: Sealer) -> None:
    """Believe it no more."""
    with connect() as api:
        api.ask("DELETE", path("policy", "sealers", domain))
    say(f"Seals of {domain} count for nothing.")


@sealer.add("list")
def sealer_list(*, as_json: AsJson = False) -> None:
    """List whom we believe."""
    columns = [("Domain", "domain", plain), ("Since", "since", moment), ("Note", "note", plain)]
    with connect() as api:
        rows = api.rows(path("policy", "sealers"))
        listing(rows, columns, as_json=as_json, empty="Nobody's seals are believed.")
