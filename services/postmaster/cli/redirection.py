"""Commands on where mail goes instead: aliases, forwards; and who may relay."""

from __future__ import annotations

from typing import Annotated

import typer

from postmaster.cli.client import connect, forced, path
from postmaster.cli.help import Commands
from postmaster.cli.output import AsJson, listing, plain, say

alias = Commands("Addresses that stand for others.")
forward = Commands("Accounts whose mail goes elsewhere.")
network = Commands("Clients that may relay unasked.")


Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="Whose mail, as name@domain.")]


@alias.add("set")
def alias_set(
    address: Address,
    targets: Annotated[
        list[str], typer.Argument(metavar="TARGET", help="Who gets it, as name@domain.")
    ],
    *,
    owner: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Who gets the bounces: makes it a group.")
    ] = None,
    posters: Annotated[
        list[str] | None,
        typer.Option(
            "--poster",
            metavar="WHO",
            help="Who may send to it: an account, @domain of ours, or members; several times. "
            "Without: everybody.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also over an account, which gets no more mail.")
    ] = False,
) -> None:
    """Let an address stand for one or more others."""
    body = {"targets": targets, "owner": owner, "posters": posters or []}
    with connect() as api:
        api.ask("PUT", path("aliases", address), body=body, query=forced(force=force))
    say(f"Mail for {address} goes to {', '.join(targets)}.")


@alias.add("list")
def alias_list(*, as_json: AsJson = False) -> None:
    """List the aliases and groups."""
    columns = [("Address", "address", plain), ("Targets", "targets", plain)]
    columns += [("Owner", "owner", plain), ("May post", "posters", plain)]
    with connect() as api:
        listing(api.rows(path("aliases")), columns, as_json=as_json, empty="There are no aliases.")


@alias.add("remove")
def alias_remove(address: Address) -> None:
    """Remove an alias."""
    with connect() as api:
        api.ask("DELETE", path("aliases", address))
    say(f"Alias {address} removed.")


@forward.add("set")
def forward_set(
    address: Address,
    targets: Annotated[
        list[str], typer.Argument(metavar="TARGET", help="Who gets it, as name@domain.")
    ],
    *,
    keep: Annotated[
        bool, typer.Option(help="Whether the mailbox here gets it too; without: it does.")
    ] = True,
) -> None:
    """Send an account's mail to other addresses."""
    with connect() as api:
        api.ask("PUT", path("forwards", address), body={"targets": targets, "keep_copy": keep})
    say(f"Mail for {address} is forwarded to {', '.join(targets)}.")


@forward.add("list")
def forward_list(*, as_json: AsJson = False) -> None:
    """List the forwards."""
    columns = [("Account", "address", plain), ("Targets", "targets", plain)]
    columns.append(("Keeps a copy", "keep_copy", plain))
    with connect() as api:
        rows = api.rows(path("forwards"))
        listing(rows, columns, as_json=as_json, empty="There are no forwards.")


@forward.add("remove")
def forward_remove(address: Address) -> None:
    """Stop forwarding an account's mail."""
    with connect() as api:
        api.ask("DELETE", path("forwards", address))
    say(f"Mail for {address} stays here.")


@network.add("add")
def network_add(
    cidr: Annotated[str, typer.Argument(metavar="NETWORK", help="As 192.0.2.0/24, 2001:db8::/32.")],
    *,
    note: Annotated[str, typer.Option(metavar="TEXT", help="Whose it is.")] = "",
    senders: Annotated[
        list[str] | None,
        typer.Option("--sender-domain", metavar="DOMAIN", help="Only from there; may be repeated."),
    ] = None,
    no_relay: Annotated[
        bool, typer.Option("--no-relay", help="An exception: these may not, others around may.")
    ] = False,
) -> None:
    """Let the clients of a network relay without a password, or set on which terms."""
    body = {"note": note, "relay": not no_relay, "senders": senders or []}
    with connect() as api:
        api.ask("PUT", path("networks", cidr), body=body)
    of_whom = f" mail from {', '.join(senders)}" if senders else ""
    say(f"Clients in {cidr} {'must log in' if no_relay else f'may relay{of_whom}'}.")


@network.add("list")
def network_list(*, as_json: AsJson = False) -> None:
    """List the networks."""
    columns = [
        ("Network", "network", plain),
        ("Relays", "relay", plain),
        ("Senders", "senders", plain),
        ("Note", "note", plain),
    ]
    with connect() as api:
        rows = api.rows(path("networks"))
        listing(rows, columns, as_json=as_json, empty="Nobody may relay without a password.")


@network.add("remove")
def network_remove(
    cidr: Annotated[str, typer.Argument(metavar="NETWORK", help="As in the list.")],
) -> None:
    """Take the right to relay from a network."""
    with connect() as api:
        api.ask("DELETE", path("networks", cidr))
    say(f"Clients in {cidr} must log in.")
