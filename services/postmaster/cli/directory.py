"""Commands on who is here: domains and accounts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.prompt import Prompt

from postmaster.cli.client import connect, forced, path
from postmaster.cli.failure import Failure, confirm
from postmaster.cli.help import Commands
from postmaster.cli.imports import import_accounts
from postmaster.cli.output import AsJson, listing, octets, plain, say

domain = Commands("Domains whose mail lives here.")
account = Commands("Accounts: people with a mailbox.")

PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input.")
]
NoPassword = Annotated[
    bool,
    typer.Option("--no-password", help="None lies here: for app passwords, tokens, LDAP."),
]
Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="Whose, as name@domain.")]
Quota = Annotated[
    int | None,
    typer.Option(metavar="OCTETS", min=1, help="What the mailboxes may hold; without: unlimited."),
]
OverAlias = Annotated[
    bool,
    typer.Option(
        "--force", help="Also where an alias takes the mail, or where it takes another's."
    ),
]


def read_password(*, from_stdin: bool) -> str:
    """Return a password: the first line of stdin, or what the operator types, twice."""
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    elif sys.stdin.isatty():
        password = Prompt.ask("Password", password=True)
        if password != Prompt.ask("Once more", password=True):
            raise Failure("The two passwords differ.")
    else:
        raise Failure("Give --password-stdin: a password is never an argument.")
    if not password:
        raise Failure("The password is empty.")
    return password


def _password(*, from_stdin: bool, none: bool) -> str | None:
    if none and from_stdin:
        raise Failure("Give --password-stdin or --no-password, not both.")
    return None if none else read_password(from_stdin=from_stdin)


@domain.add("add")
def domain_add(
    name: Annotated[str, typer.Argument(metavar="DOMAIN", help="Its name, as example.org.")],
    catch_all: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Who takes what nobody else does.")
    ] = None,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Also over a route, which takes its mail no more.")
    ] = False,
) -> None:
    """Add a domain; from now on we take mail for its accounts."""
    body = {"domain": name, "catch_all": catch_all}
    with connect() as api:
        api.ask("POST", path("domains"), body=body, query=forced(force=force))
    say(f"Domain {name} added.")


@domain.add("list")
def domain_list(*, as_json: AsJson = False) -> None:
    """List the domains."""
    columns = [("Domain", "domain", plain), ("Catch-all", "catch_all", plain)]
    columns += [("Delimiters", "delimiters", plain)]
    with connect() as api:
        listing(api.rows(path("domains")), columns, as_json=as_json, empty="There are no domains.")


@domain.add("catch-all")
def domain_catch_all(
    name: Annotated[str, typer.Argument(metavar="DOMAIN", help="Its name, as example.org.")],
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Who; '' for nobody.")],
) -> None:
    """Set the address that takes what nobody else in the domain does."""
    with connect() as api:
        api.ask("PATCH", path("domains", name), body={"catch_all": address or None})
    say(f"Mail for unknown users of {name} goes to {address or 'nobody'}.")


@domain.add("delimiters")
def domain_delimiters(
    name: Annotated[str, typer.Argument(metavar="DOMAIN", help="Its name, as example.org.")],
    delimiters: Annotated[
        str, typer.Argument(metavar="CHARACTERS", help="Some of + - =; '' for none.")
    ],
) -> None:
    """Set what parts an account's name from a detail: anna+lists, anna-lists."""
    with connect() as api:
        api.ask("PATCH", path("domains", name), body={"delimiters": delimiters})
    say(f"Details in {name} stand behind {delimiters or 'nothing'}.")


@domain.add("remove")
def domain_remove(
    name: Annotated[str, typer.Argument(metavar="DOMAIN", help="Its name, as example.org.")],
) -> None:
    """Remove a domain that has no accounts and no aliases."""
    with connect() as api:
        api.ask("DELETE", path("domains", name))
    say(f"Domain {name} removed.")


@account.add("add")
def account_add(
    address: Address,
    *,
    password_stdin: PasswordStdin = False,
    no_password: NoPassword = False,
    quota: Quota = None,
    force: OverAlias = False,
) -> None:
    """Add an account with its mailboxes."""
    password = _password(from_stdin=password_stdin, none=no_password)
    body = {"address": address, "password": password, "quota_octets": quota}
    with connect() as api:
        api.ask("POST", path("accounts"), body=body, query=forced(force=force))
    say(f"Account {address} added.")


@account.add("import")
def account_import(
    file: Annotated[
        Path,
        typer.Argument(
            exists=True,
            dir_okay=False,
            help="CSV in UTF-8; each line is address,password or, so headed, address,password_hash.",
        ),
    ],
    *,
    force: OverAlias = False,
    as_json: AsJson = False,
) -> None:
    """Add the accounts of a CSV file; rows that cannot be added are told, the others are added.

    Accounts that are there already are left as they are, so an import can be run again. If an
    address belongs to an alias, nothing is added unless you force it.
    """
    with connect() as api:
        import_accounts(api, file, force=force, as_json=as_json)


@account.add("list")
def account_list(
    *,
    domain_name: Annotated[
        str | None, typer.Option("--domain", metavar="DOMAIN", help="Only of this domain.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the accounts."""
    columns = [
        ("Address", "address", plain),
        ("Enabled", "enabled", plain),
        ("Used", "used_octets", octets),
        ("Quota", "quota_octets", octets),
    ]
    with connect() as api:
        rows = api.rows(path("accounts"), {"domain": domain_name})
        listing(rows, columns, as_json=as_json, empty="There are no accounts.")


def _change(address: str, body: dict[str, Any], done: str) -> None:
    with connect() as api:
        api.ask("PATCH", path("accounts", address), body=body)
    say(done)


@account.add("set-password")
def account_set_password(
    address: Address, *, password_stdin: PasswordStdin = False, no_password: NoPassword = False
) -> None:
    """Set an account's password, or take it away."""
    password = _password(from_stdin=password_stdin, none=no_password)
    done = "taken away" if no_password else "changed"
    _change(address, {"password": password}, f"Password of {address} {done}.")


@account.add("set-quota")
def account_set_quota(
    address: Address,
    quota: Annotated[int, typer.Argument(metavar="OCTETS", min=0, help="0: unlimited.")],
) -> None:
    """Set how much an account's mailboxes may hold."""
    text = octets(quota) if quota else "unlimited"
    _change(address, {"quota_octets": quota or None}, f"Quota of {address} is {text}.")


@account.add("enable")
def account_enable(address: Address) -> None:
    """Let an account log in and receive again."""
    _change(address, {"enabled": True}, f"Account {address} is enabled.")


@account.add("disable")
def account_disable(address: Address) -> None:
    """Keep an account's mail, but let nobody log in or deliver to it."""
    _change(address, {"enabled": False}, f"Account {address} is disabled.")


@account.add("remove")
def account_remove(
    address: Address,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove an account and all its mail."""
    if not yes:
        confirm(f"Remove {address} and all its mail for ever?", "Nothing was removed.")
    with connect() as api:
        api.ask("DELETE", path("accounts", address))
    say(f"Account {address} removed.")
