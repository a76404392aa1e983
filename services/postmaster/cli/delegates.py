"""Commands on who may send as whom."""

from __future__ import annotations

from typing import Annotated

import typer

from postmaster.cli.client import connect, path
from postmaster.cli.help import Commands
from postmaster.cli.output import AsJson, listing, plain, say

delegate = Commands("Accounts and groups that may send as somebody else.")

Address = Annotated[
    str, typer.Argument(metavar="ADDRESS", help="As whom; '*@example.org' is all of a domain.")
]
Account = Annotated[
    str, typer.Argument(metavar="ACCOUNT", help="name@domain, or group:name@domain (an alias).")
]


@delegate.add("allow")
def delegate_allow(
    address: Address,
    account: Account,
    *,
    on_behalf: Annotated[
        bool, typer.Option("--on-behalf", help="Mail names the account in its Sender field.")
    ] = False,
) -> None:
    """Let an account, or all of a group, send as an address besides their own."""
    with connect() as api:
        api.ask("PUT", path("delegates", address, account), body={"on_behalf": on_behalf})
    say(f"{account} may send {'on behalf of' if on_behalf else 'as'} {address}.")


@delegate.add("list")
def delegate_list(
    *,
    address: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Only as this address.")
    ] = None,
    account: Annotated[
        str | None, typer.Option(metavar="ACCOUNT", help="Only of this account.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List who may send as whom."""
    columns = [
        ("Address", "address", plain),
        ("Account", "account", plain),
        ("On behalf", "on_behalf", plain),
    ]
    with connect() as api:
        rows = api.rows(path("delegates"), {"address": address, "account": account})
        listing(rows, columns, as_json=as_json, empty="Everybody sends as themselves.")


@delegate.add("revoke")
def delegate_revoke(address: Address, account: Account) -> None:
    """Take the right to send as an address from an account."""
    with connect() as api:
        api.ask("DELETE", path("delegates", address, account))
    say(f"{account} may send as {address} no more.")
