"""Commands on quotas and tenants."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any

import typer

from postmaster.cli.client import connect, path
from postmaster.cli.help import Commands
from postmaster.cli.output import AsJson, listing, octets, plain, print_json, say

quota = Commands("What users, domains and tenants may keep (RFC 9208).")
tenant = Commands("Customers with domains.")


class Scope(Enum):
    """Whose quota."""

    USER = "user"
    DOMAIN = "domain"
    TENANT = "tenant"


Whose = Annotated[Scope, typer.Argument(metavar="SCOPE", help="user, domain or tenant.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Its address or name.")]
Tenant = Annotated[str, typer.Argument(metavar="TENANT", help="Its name.")]
Domain = Annotated[str, typer.Argument(metavar="DOMAIN", help="As example.org.")]
Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="As name@domain.")]


def _limit(what: str) -> Any:  # noqa: ANN401 - typer's
    return typer.Option(metavar="NUMBER", min=0, help=f"At most so many {what}; left out: any.")


@quota.add("show")
def quota_show(scope: Whose, name: Name, *, as_json: AsJson = False) -> None:
    """Show limits, and what is used at this moment."""
    with connect() as api:
        found = api.ask("GET", path("quotas", scope.value, name))
    if as_json:
        print_json(found)
        return
    rows = [
        {"what": what, "used": show(found[f"used_{what}"]), "limit": show(found[what])}
        for what, show in (("octets", octets), ("messages", plain), ("mailboxes", plain))
    ]
    columns = [("", "what", plain), ("Used", "used", plain), ("Limit", "limit", plain)]
    listing(rows, columns, as_json=False, empty="")


@quota.add("set")
def quota_set(
    scope: Whose,
    name: Name,
    *,
    octets_: Annotated[
        int | None,
        typer.Option(
            "--octets", metavar="NUMBER", min=0, help="At most so many octets; left out: any."
        ),
    ] = None,
    messages: Annotated[int | None, _limit("messages")] = None,
    mailboxes: Annotated[int | None, _limit("mailboxes")] = None,
) -> None:
    """Set all limits; what is left out is unlimited."""
    body = {"octets": octets_, "messages": messages, "mailboxes": mailboxes}
    with connect() as api:
        api.ask("PUT", path("quotas", scope.value, name), body=body)
    told = ", ".join(f"{value} {what}" for what, value in body.items() if value is not None)
    say(f"{name} may keep {told or 'anything'}.")


@quota.add("allow-manager")
def quota_allow_manager(domain: Domain, account: Account) -> None:
    """Let an account set the quotas of a domain and its users by IMAP (SETQUOTA)."""
    with connect() as api:
        api.ask("PUT", path("quota-managers", domain, account))
    say(f"{account} manages the quotas of {domain}.")


@quota.add("revoke-manager")
def quota_revoke_manager(domain: Domain, account: Account) -> None:
    """End that."""
    with connect() as api:
        api.ask("DELETE", path("quota-managers", domain, account))
    say(f"{account} manages the quotas of {domain} no more.")


@tenant.add("add")
def tenant_add(name: Tenant) -> None:
    """Make a tenant without domains."""
    with connect() as api:
        api.ask("POST", path("tenants"), body={"tenant": name})
    say(f"Tenant {name} added.")


@tenant.add("list")
def tenant_list(*, as_json: AsJson = False) -> None:
    """List the tenants and their domains."""
    columns = [("Tenant", "tenant", plain), ("Domains", "domains", plain)]
    with connect() as api:
        listing(api.rows(path("tenants")), columns, as_json=as_json, empty="There are no tenants.")


@tenant.add("remove")
def tenant_remove(name: Tenant) -> None:
    """Remove a tenant that has no domains."""
    with connect() as api:
        api.ask("DELETE", path("tenants", name))
    say(f"Tenant {name} removed.")


@tenant.add("assign")
def tenant_assign(name: Tenant, domain: Domain) -> None:
    """Make a domain the tenant's."""
    with connect() as api:
        api.ask("PUT", path("tenants", name, "domains", domain))
    say(f"{domain} is {name}'s.")


@tenant.add("free")
def tenant_free(name: Tenant, domain: Domain) -> None:
    """Make a domain nobody's."""
    with connect() as api:
        api.ask("DELETE", path("tenants", name, "domains", domain))
    say(f"{domain} is nobody's.")
