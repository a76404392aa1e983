"""Commands on shared trees, and on who may do what with whose mailboxes."""

from __future__ import annotations

from typing import Annotated

import typer

from postmaster.cli.client import connect, forced, path
from postmaster.cli.failure import confirm
from postmaster.cli.help import Commands
from postmaster.cli.output import AsJson, listing, octets, plain, say

shared = Commands("Mailboxes that are nobody's own, shown to people below 'shared/'.")
acl = Commands("Who may do what with whose mailboxes (RFC 4314).")

Tree = Annotated[str, typer.Argument(metavar="ADDRESS", help="Of the tree's INBOX, name@domain.")]
Owner = Annotated[
    str, typer.Argument(metavar="OWNER", help="Whose mailboxes: an account or a shared tree.")
]
Who = Annotated[
    str,
    typer.Argument(
        metavar="WHO",
        help="name@domain, group:name@domain (an alias) or anyone; '-' before it takes rights away.",
    ),
]
Mailbox = Annotated[
    str, typer.Option("--mailbox", metavar="NAME", help="As its owner calls it; INBOX if left out.")
]


SendAs = Annotated[
    bool,
    typer.Option("--send-as", help="And to send as the owner: see 'posthouse delegate'."),
]


@shared.add("add")
def shared_add(
    address: Tree,
    *,
    manager: Annotated[
        list[str] | None,
        typer.Option(metavar="WHO", help="Gets all rights on it; may be given several times."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Even if another loses mail by it.")
    ] = False,
) -> None:
    """Make a shared tree; mail to its address is filed there."""
    body = {"address": address, "managers": manager or []}
    with connect() as api:
        api.ask("POST", path("shared"), body=body, query=forced(force=force))
    say(f"Shared tree {address} added.")


@shared.add("list")
def shared_list(*, as_json: AsJson = False) -> None:
    """List the shared trees."""
    columns = [
        ("Address", "address", plain),
        ("Mailboxes", "mailboxes", plain),
        ("Used", "octets", octets),
    ]
    with connect() as api:
        listing(api.rows(path("shared")), columns, as_json=as_json, empty="Nothing is shared.")


@shared.add("remove")
def shared_remove(
    address: Tree, *, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False
) -> None:
    """Remove a shared tree and all its mail."""
    if not yes:
        confirm(f"Remove {address} and all its mail for ever?", "Nothing was removed.")
    with connect() as api:
        api.ask("DELETE", path("shared", address))
    say(f"Shared tree {address} removed.")


@acl.add("list")
def acl_list(owner: Owner, *, as_json: AsJson = False) -> None:
    """List who may do what with the mailboxes of somebody; owners may do everything."""
    columns = [
        ("Mailbox", "mailbox", plain),
        ("Who", "identifier", plain),
        ("Rights", "rights", plain),
    ]
    with connect() as api:
        rows = api.rows(path("acls", owner))
        listing(rows, columns, as_json=as_json, empty="Nobody but the owner.")


@acl.add("set")
def acl_set(
    owner: Owner,
    who: Who,
    rights: Annotated[
        str, typer.Argument(metavar="RIGHTS", help="Some of lrswipkxtea; docs/shared-mail.md.")
    ],
    *,
    mailbox: Mailbox = "INBOX",
    send_as: SendAs = False,
) -> None:
    """Give rights on a mailbox, in place of those that were there."""
    _put(owner, who, rights, mailbox)
    if send_as:
        with connect() as api:
            api.ask("PUT", path("delegates", owner, who), body={"on_behalf": False})
    say(f"{who} has {rights} on {mailbox} of {owner}.")


@acl.add("remove")
def acl_remove(
    owner: Owner, who: Who, *, mailbox: Mailbox = "INBOX", send_as: SendAs = False
) -> None:
    """Take all rights on a mailbox away."""
    _put(owner, who, "", mailbox)
    if send_as:
        with connect() as api:
            api.ask("DELETE", path("delegates", owner, who))
    say(f"{who} has no rights of its own on {mailbox} of {owner}.")


def _put(owner: str, who: str, rights: str, mailbox: str) -> None:
    body = {"mailbox": mailbox, "identifier": who, "rights": rights}
    with connect() as api:
        api.ask("PUT", path("acls", owner), body=body)
