"""Commands on source addresses: from where, and under which name, mail leaves."""

from __future__ import annotations

from typing import Annotated

import typer

from posthouse.mail.sources import MACHINE, USUAL_WARM_UP
from postmaster.cli.client import connect, path
from postmaster.cli.failure import Failure
from postmaster.cli.help import Commands
from postmaster.cli.output import AsJson, listing, plain, say

USUAL = "usual"

source = Commands("Addresses that mail leaves from: in pools, warmed up, chosen for senders.")

Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="IPv4 or IPv6, of ours.")]
Sender = Annotated[
    str,
    typer.Option(
        "--sender",
        metavar="WHO",
        help="anna@a.test, @a.test, @.a.test, '*', or angle brackets alone for reports.",
    ),
]
Domain = Annotated[
    str, typer.Option("--domain", metavar="DOMAIN", help="b.test, .b.test (all below it) or '*'.")
]


@source.add("add")
def source_add(
    address: Address,
    pool: Annotated[str, typer.Argument(metavar="POOL", help="Addresses for the same mail.")],
    hostname: Annotated[str, typer.Argument(metavar="NAME", help="What it says in EHLO.")],
    *,
    warm_up: Annotated[
        str,
        typer.Option(
            "--warm-up",
            metavar="BUDGETS",
            help="Messages on its first day, its second and so on, as 50,100,250; or: usual.",
        ),
    ] = "",
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="DATE", help="Its first day; today if not given."),
    ] = None,
) -> None:
    """Add an address to a pool, or change what is said of it."""
    body = {"pool": pool, "hostname": hostname, "warm_up": _budgets(warm_up), "since": since}
    with connect() as api:
        api.ask("PUT", path("sources", address), body=body)
    say(f"{address} is in the pool {pool}, as {hostname}.")


@source.add("list")
def source_list(*, as_json: AsJson = False) -> None:
    """List all addresses; Budget is of today, Full are those that may send nothing right now."""
    columns = [
        ("Pool", "pool", plain),
        ("Address", "address", plain),
        ("Name", "hostname", plain),
        ("Since", "since", plain),
        ("Budget", "budget", plain),
        ("Full", "full", plain),
    ]
    with connect() as api:
        rows = api.rows(path("sources"))
        empty = "Mail leaves from whatever address the machine chooses."
        listing(rows, columns, as_json=as_json, empty=empty)


@source.add("remove")
def source_remove(address: Address) -> None:
    """Let nothing leave from an address any more."""
    with connect() as api:
        api.ask("DELETE", path("sources", address))
    say(f"Nothing leaves from {address} any more.")


@source.add("use")
def source_use(
    pool: Annotated[
        str, typer.Argument(metavar="POOL", help=f"{MACHINE}: whatever the machine chooses.")
    ],
    *,
    sender: Sender = "*",
    domain: Domain = "*",
) -> None:
    """Let mail of some senders, to some domains, leave from a pool."""
    body = {"pool": pool, "sender": sender, "domain": domain}
    with connect() as api:
        api.ask("PUT", path("source-uses"), body=body)
    say(f"Mail from {sender} to {domain} leaves from {pool}.")


@source.add("uses")
def source_uses(*, as_json: AsJson = False) -> None:
    """List whose mail leaves from which pool."""
    columns = [("Sender", "sender", plain), ("Domain", "domain", plain), ("Pool", "pool", plain)]
    with connect() as api:
        rows = api.rows(path("source-uses"))
        empty = "No pool is chosen for any mail."
        listing(rows, columns, as_json=as_json, empty=empty)


@source.add("unuse")
def source_unuse(*, sender: Sender = "*", domain: Domain = "*") -> None:
    """Choose no pool for some mail any more."""
    with connect() as api:
        api.ask("DELETE", path("source-uses"), query={"sender": sender, "domain": domain})
    say(f"No pool is chosen for mail from {sender} to {domain}.")


def _budgets(text: str) -> list[int]:
    """Read budgets with commas between them; or the usual ones."""
    if text == USUAL:
        return list(USUAL_WARM_UP)
    try:
        return [int(each) for each in text.split(",")] if text else []
    except ValueError:
        raise Failure(f"not budgets like 50,100,250, nor {USUAL}: {text}") from None
