"""Commands on greylisting."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from postmaster.cli.client import connect, path
from postmaster.cli.help import Commands
from postmaster.cli.output import AsJson, Column, listing, moment, plain, say

greylist = Commands("Who is not known has to come again: in which domains, who waits.")


class Will(StrEnum):
    """What a domain wants."""

    ON = "on"
    OFF = "off"
    USUAL = "usual"


Domain = Annotated[str, typer.Argument(metavar="DOMAIN", help="A domain of ours.")]
ROWS: list[Column] = [
    ("Network", "network", plain),
    ("Sender", "sender", lambda value: plain(value) or "<>"),
    ("Recipient", "recipient", plain),
    ("First came", "first_at", moment),
    ("Came again", "passed_at", moment),
    ("Until", "expires_at", moment),
]
DOMAINS: list[Column] = [("Domain", "domain", plain), ("Greylisted", "enabled", plain)]


@greylist.add("set")
def greylist_set(
    domain: Domain,
    will: Annotated[
        Will, typer.Argument(metavar="on|off|usual", help="usual: as in the settings.")
    ],
) -> None:
    """Say whether mail to a domain is greylisted."""
    where = path("policy", "greylist", "domains", domain)
    with connect() as api:
        if will is Will.USUAL:
            api.ask("DELETE", where)
        else:
            api.ask("PUT", where, body={"enabled": will is Will.ON})
    say(f"{domain}: greylisting {will.value}.")


@greylist.add("domains")
def greylist_domains(*, as_json: AsJson = False) -> None:
    """List the domains that do not leave it to the setting."""
    with connect() as api:
        rows = api.rows(path("policy", "greylist", "domains"))
        listing(rows, DOMAINS, as_json=as_json, empty="All leave it to the setting.")


@greylist.add("list")
def greylist_list(
    *,
    recipient: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Only mail to this recipient.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List who waits and who has passed."""
    with connect() as api:
        rows = api.rows(path("policy", "greylist"), {"recipient": recipient})
        listing(rows, ROWS, as_json=as_json, empty="Nobody is on the greylist.")


@greylist.add("forget")
def greylist_forget(
    network: Annotated[str, typer.Argument(metavar="NETWORK", help="As 192.0.2.0/24.")],
) -> None:
    """Let a network that was known wait again with what is new of it."""
    with connect() as api:
        api.ask("DELETE", path("policy", "greylist", "networks", network))
    say(f"{network} is not known any more.")
