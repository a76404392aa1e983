"""Commands on where mail goes instead: aliases, forwards, routes, networks."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from postmaster.cli.client import connect, forced, path
from postmaster.cli.failure import Failure
from postmaster.cli.help import Commands
from postmaster.cli.output import AsJson, listing, plain, say

alias = Commands("Addresses that stand for others.")
forward = Commands("Accounts whose mail goes elsewhere.")
route = Commands("Where mail for a domain goes.")
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
    force: Annotated[
        bool, typer.Option("--force", help="Also over an account, which gets no more mail.")
    ] = False,
) -> None:
    """Let an address stand for one or more others."""
    body = {"targets": targets, "owner": owner}
    with connect() as api:
        api.ask("PUT", path("aliases", address), body=body, query=forced(force=force))
    say(f"Mail for {address} goes to {', '.join(targets)}.")


@alias.add("list")
def alias_list(*, as_json: AsJson = False) -> None:
    """List the aliases and groups."""
    columns = [("Address", "address", plain), ("Targets", "targets", plain)]
    columns.append(("Owner", "owner", plain))
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


@route.add("set")
def route_set(
    name: Annotated[
        str, typer.Argument(metavar="DOMAIN", help="Whose mail; '*' is all that has no route.")
    ],
    hop: Annotated[str, typer.Argument(metavar="HOST:PORT", help="Where to; IPv6 in brackets.")],
    *,
    user: Annotated[
        str | None, typer.Option(metavar="NAME", help="Log in there as this user.")
    ] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also for a domain of ours, whose mail ends here.")
    ] = False,
) -> None:
    """Send a domain's mail to a host instead of its MX."""
    host, port = split_hop(hop)
    password = sys.stdin.readline().rstrip("\r\n") if password_stdin else None
    if (user is None) != (password is None):
        raise Failure("Give --user and --password-stdin together, or neither.")
    body = {"host": host, "port": port, "username": user, "password": password}
    with connect() as api:
        api.ask("PUT", path("routes", name), body=body, query=forced(force=force))
    say(f"Mail for {name} goes to {hop}.")


def split_hop(text: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT`` (an IPv6 address stands in brackets)."""
    host, found, port = text.rpartition(":")
    if not found or not host or not port.isdigit():
        raise Failure(f"{text} is not HOST:PORT.")
    return host.strip("[]"), int(port)


@route.add("list")
def route_list(*, as_json: AsJson = False) -> None:
    """List the routes."""
    columns = [("Domain", "domain", plain), ("Host", "host", plain), ("Port", "port", plain)]
    columns.append(("User", "username", plain))
    with connect() as api:
        rows = api.rows(path("routes"))
        listing(rows, columns, as_json=as_json, empty="All mail goes by MX.")


@route.add("remove")
def route_remove(
    name: Annotated[str, typer.Argument(metavar="DOMAIN", help="Whose; '*' is the smarthost.")],
) -> None:
    """Send a domain's mail by its MX again."""
    with connect() as api:
        api.ask("DELETE", path("routes", name))
    say(f"Mail for {name} goes by MX.")


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
