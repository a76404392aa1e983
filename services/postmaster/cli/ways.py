"""Commands on the way out: routes by domain, relays by sender."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from postmaster.cli.client import connect, forced, path
from postmaster.cli.failure import Failure
from postmaster.cli.help import Commands
from postmaster.cli.output import AsJson, listing, plain, say

route = Commands("Where mail for a domain goes.")
relay = Commands("Where mail of a sender goes, if no route for its recipient says otherwise.")

Pattern = Annotated[
    str,
    typer.Argument(
        metavar="DOMAIN",
        help="Whose mail: a domain, '.example.com' for all below it, '[192.0.2.1]', '*' for all "
        "that has no other route.",
    ),
]
Sender = Annotated[
    str,
    typer.Argument(
        metavar="SENDER",
        help="Whose mail: name@domain, @domain, @.domain for all below it; 'null' for reports.",
    ),
]
Hops = Annotated[
    list[str],
    typer.Argument(
        metavar="HOP",
        help="Where to: HOST:PORT, mx:DOMAIN[:PORT], lmtp:HOST:PORT, lmtp:/SOCKET, direct (by MX), "
        "maildir:PATH or mbox:PATH with %u and %d. Several servers may have ,preference=N and "
        ",weight=N. IPv6 addresses stand in brackets.",
    ),
]
Servers = Annotated[
    list[str],
    typer.Argument(
        metavar="HOP",
        help="Where to: HOST:PORT, mx:DOMAIN[:PORT], lmtp:HOST:PORT, lmtp:/SOCKET, direct (by MX). "
        "Several may have ,preference=N and ,weight=N. IPv6 addresses stand in brackets.",
    ),
]
User = Annotated[str | None, typer.Option(metavar="NAME", help="Log in there as this user.")]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input.")
]


@route.add("set")
def route_set(
    name: Pattern,
    hops: Hops,
    *,
    user: User = None,
    password_stdin: PasswordStdin = False,
    closed: Annotated[
        str | None,
        typer.Option(
            "--open",
            metavar="WHEN",
            help="Only then, as 'daily 02:00-04:00' or 'mon-fri 22:00-06:00 Europe/Berlin'; or "
            "'on-request': by ETRN or `posthouse queue flush` alone.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also for a domain of ours, whose mail ends here.")
    ] = False,
) -> None:
    """Send a domain's mail to a host instead of its MX."""
    hold = closed == "on-request"
    body = _way(hops, user, is_read=password_stdin)
    body |= {"hold": hold, "window": None if hold else closed}
    with connect() as api:
        api.ask("PUT", path("routes", name), body=body, query=forced(force=force))
    when = f", {'on request' if hold else closed}" if closed else ""
    say(f"Mail for {name} goes to {', '.join(hops)}{when}.")


@route.add("list")
def route_list(*, as_json: AsJson = False) -> None:
    """List the routes."""
    columns = [("Domain", "domain", plain), ("To", "hops", plain), ("User", "username", plain)]
    columns += [("On request", "hold", plain), ("Open", "window", plain)]
    with connect() as api:
        rows = api.rows(path("routes"))
        listing(rows, columns, as_json=as_json, empty="All mail goes by MX.")


@route.add("remove")
def route_remove(name: Pattern) -> None:
    """Send a domain's mail by its MX again."""
    with connect() as api:
        api.ask("DELETE", path("routes", name))
    say(f"Mail for {name} goes by MX.")


@route.add("find")
def route_find(
    name: Annotated[str, typer.Argument(metavar="DOMAIN", help="Where mail is to go.")],
    *,
    sender: Annotated[str, typer.Option(metavar="ADDRESS", help="From whom; nobody without.")] = "",
    as_json: AsJson = False,
) -> None:
    """Tell what counts for mail to a domain: a route, a sender's relay, or its MX."""
    columns = [("By", "by", plain), ("Of", "of", plain), ("To", "hops", plain)]
    with connect() as api:
        way = api.ask("GET", path("way"), query={"domain": name, "sender": sender})
    way["of"] = way.get("domain") or way.get("sender")
    listing([way], columns, as_json=as_json, empty="")


@relay.add("set")
def relay_set(
    sender: Sender, hops: Servers, *, user: User = None, password_stdin: PasswordStdin = False
) -> None:
    """Send a sender's mail by servers of its own."""
    body = _way(hops, user, is_read=password_stdin)
    with connect() as api:
        api.ask("PUT", path("relays", sender), body=body)
    say(f"Mail from {sender} goes to {', '.join(hops)}.")


@relay.add("list")
def relay_list(*, as_json: AsJson = False) -> None:
    """List the senders whose mail goes a way of its own."""
    columns = [("Sender", "sender", plain), ("To", "hops", plain), ("User", "username", plain)]
    with connect() as api:
        rows = api.rows(path("relays"))
        listing(rows, columns, as_json=as_json, empty="No sender has a way of its own.")


@relay.add("remove")
def relay_remove(sender: Sender) -> None:
    """Send a sender's mail the way of all others."""
    with connect() as api:
        api.ask("DELETE", path("relays", sender))
    say(f"Mail from {sender} goes the way of all others.")


def _way(hops: list[str], user: str | None, *, is_read: bool) -> dict[str, Any]:
    password = sys.stdin.readline().rstrip("\r\n") if is_read else None
    if (user is None) != (password is None):
        raise Failure("Give --user and --password-stdin together, or neither.")
    return {"hops": hops, "username": user, "password": password}
