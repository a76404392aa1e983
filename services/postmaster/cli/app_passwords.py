"""Commands on app passwords: one for each device."""

from __future__ import annotations

from typing import Annotated

import typer

from postmaster.cli.client import connect, path
from postmaster.cli.help import Commands
from postmaster.cli.output import AsJson, listing, moment, plain, print_json, say

app_password = Commands("Passwords of single devices, each revoked by itself.")

Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="Whose, as name@domain.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The device, as 'phone'.")]


@app_password.add("add")
def app_password_add(address: Address, name: Name, *, as_json: AsJson = False) -> None:
    """Make a password for a device; it is shown now and never again.

    The device says it with its ordinary user name, over TLS; groups and case do not matter.
    """
    with connect() as api:
        made = api.ask("POST", path("app-passwords"), body={"address": address, "name": name})
    if as_json:
        print_json(made)
    else:
        say(made["password"])


@app_password.add("list")
def app_password_list(address: Address, *, as_json: AsJson = False) -> None:
    """List the devices of an account, and when each was used last."""
    columns = [
        ("Name", "name", plain),
        ("Created", "created", moment),
        ("Last used", "last_used", moment),
        ("By", "last_service", plain),
        ("From", "last_client", plain),
    ]
    with connect() as api:
        rows = api.rows(path("app-passwords"), {"address": address})
        listing(rows, columns, as_json=as_json, empty=f"{address} has no app passwords.")


@app_password.add("revoke")
def app_password_revoke(address: Address, name: Name) -> None:
    """Let a device log in no more; sessions that it has open go on."""
    with connect() as api:
        api.ask("DELETE", path("app-passwords"), query={"address": address, "name": name})
    say(f"{name} of {address} is let in no more.")
