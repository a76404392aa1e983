"""Commands on mail that leaves: limits, and accounts that are paused."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from postmaster.cli.client import connect, path
from postmaster.cli.directory import Address, account
from postmaster.cli.failure import Failure
from postmaster.cli.help import Commands
from postmaster.cli.output import AsJson, Column, listing, moment, plain, print_json, say
from postmaster.cli.quotas import Tenant, tenant

limits = Commands("What accounts, domains and tenants may send.")


class Whose(StrEnum):
    """Whose limit."""

    ACCOUNT = "account"
    DOMAIN = "domain"
    TENANT = "tenant"


class Thing(StrEnum):
    """What is counted."""

    MESSAGES = "messages"
    RECIPIENTS = "recipients"
    OCTETS = "octets"


Scope = Annotated[Whose, typer.Argument(metavar="SCOPE", help="account, domain or tenant.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Whose: an address, a domain, a name.")]
What = Annotated[
    Thing, typer.Argument(metavar="THING", help="messages, recipients (outside) or octets.")
]
LIMITS: list[Column] = [
    ("Scope", "scope", plain),
    ("Name", "name", plain),
    ("Of", "thing", plain),
    ("Rates", "rates", plain),
]
USED: list[Column] = [
    ("Whose", "who", plain),
    ("Of", "what", plain),
    ("Used", "used", plain),
    ("Limit", "of", plain),
    ("Full", "full", plain),
]
ALARMS: list[Column] = [
    ("At", "at", moment),
    ("Account", "account", plain),
    ("Rule", "rule", plain),
    ("Done", "consequence", plain),
    ("Seen", "detail", plain),
    ("Resumed", "cleared_at", moment),
]
PAUSED: list[Column] = [
    ("Account", "account", plain),
    ("How", "kind", plain),
    ("Rule", "rule", plain),
    ("Seen", "detail", plain),
    ("By", "actor", plain),
    ("Since", "since", moment),
    ("Held", "held", plain),
]


@limits.add("set")
def limits_set(
    scope: Scope,
    name: Name,
    thing: What,
    rates: Annotated[str, typer.Argument(metavar="RATES", help="500/1h,2000/1d; 0 is no limit.")],
) -> None:
    """Let these rates count instead of the settings'."""
    with connect() as api:
        api.ask(
            "PUT", path("policy", "limits", scope.value, name, thing.value), body={"rates": rates}
        )
    say(f"{name} may send {rates} {thing.value}.")


@limits.add("unset")
def limits_unset(scope: Scope, name: Name, thing: What) -> None:
    """Let the settings count again."""
    with connect() as api:
        api.ask("DELETE", path("policy", "limits", scope.value, name, thing.value))
    say(f"For {thing.value} of {name} the settings count.")


@limits.add("list")
def limits_list(*, as_json: AsJson = False) -> None:
    """List what was set; what was not follows the settings."""
    with connect() as api:
        rows = list(api.rows(path("policy", "limits")))
    listing(rows, LIMITS, as_json=as_json, empty="The settings count for everybody.")


@limits.add("show")
def limits_show(whose: Address, *, as_json: AsJson = False) -> None:
    """Show what an account sends in a day, usually, which limits hold for it, and what it has used."""
    with connect() as api:
        found = api.ask("GET", path("policy", "limits", "show", whose))
    if as_json:
        print_json(found)
        return
    say(f"{whose}: {found['state']}.")
    say(
        f"In a day {found['messages']} messages, {found['recipients']} recipients outside "
        f"({found['strangers']} different ones; {found['usual']} on a usual day), "
        f"{found['failures']} refused, {found['spam']} like spam; "
        f"{found['logins']} failed logins; {found['networks']} networks within an hour."
    )
    holds = [{**each, "rates": each["rates"] or "as policy is set"} for each in found["holds"]]
    listing(holds, LIMITS, as_json=False, empty="")
    listing(found["limits"], USED, as_json=False, empty="No limit is in use.")


@limits.add("alarms")
def limits_alarms(*, as_json: AsJson = False) -> None:
    """List what looked wrong about accounts, the newest first."""
    with connect() as api:
        rows = list(api.rows(path("policy", "alarms")))
    listing(rows, ALARMS, as_json=as_json, empty="Nothing looked wrong.")


@account.add("paused")
def account_paused(*, as_json: AsJson = False) -> None:
    """List accounts whose mail is held or refused."""
    with connect() as api:
        rows = list(api.rows(path("paused-accounts")))
    listing(rows, PAUSED, as_json=as_json, empty="No account is paused.")


@account.add("pause")
def account_pause(
    whose: Address,
    *,
    hold: Annotated[bool, typer.Option("--hold", help="Take its mail, and hold it.")] = False,
) -> None:
    """Let no mail of an account leave; it can read its mail."""
    with connect() as api:
        api.ask("PUT", path("paused-accounts", whose), body={"kind": "hold" if hold else "pause"})
    say(f"No mail of {whose} leaves.")


@account.add("resume")
def account_resume(
    whose: Address,
    *,
    release: Annotated[bool, typer.Option("--release", help="What is held goes.")] = False,
    discard: Annotated[bool, typer.Option("--discard", help="What is held ends.")] = False,
) -> None:
    """Let an account send again; say what becomes of what is held."""
    if release == discard:
        raise Failure("Give --release or --discard: what becomes of what is held.")
    with connect() as api:
        body = {"ending": "release" if release else "discard"}
        api.ask("POST", path("paused-accounts", whose, "resume"), body=body)
    say(f"{whose} may send; what was held {'goes' if release else 'ends'} within seconds.")


@tenant.add("contact")
def tenant_contact(
    name: Tenant,
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Who is told; '' for nobody.")],
) -> None:
    """Say who is told of trouble with a tenant's accounts."""
    with connect() as api:
        api.ask("PUT", path("tenants", name, "contact"), body={"address": address})
    say(f"{address or 'Nobody'} is told of trouble with accounts of {name}.")
