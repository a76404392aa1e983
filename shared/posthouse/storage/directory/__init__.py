"""The directory: who is here, and what an address means.

Operators change it at run time; every pod asks it, or caches it for seconds. Addresses are kept
in the form of `Address.key`, so two spellings of one mailbox are one row.
"""

from posthouse.storage.directory.accounts import (
    Account,
    Credential,
    NewAccount,
    account_by_address,
    accounts,
    add_account,
    add_accounts,
    credentials,
    remove_account,
    renew_hash,
    set_enabled,
    set_password,
    set_quota,
)
from posthouse.storage.directory.aliases import (
    Alias,
    Forward,
    aliases,
    forwards,
    remove_alias,
    set_alias,
    set_forward,
)
from posthouse.storage.directory.domains import (
    Domain,
    add_domain,
    domains,
    remove_domain,
    set_catch_all,
)
from posthouse.storage.directory.errors import (
    AlreadyThere,
    DirectoryError,
    NoSuchEntry,
    Shadow,
    Shadowed,
    StillInUse,
)
from posthouse.storage.directory.precedence import shadows_of_accounts
from posthouse.storage.directory.resolving import Found, resolve
from posthouse.storage.directory.routes import (
    SMARTHOST,
    Network,
    Route,
    add_network,
    networks,
    remove_network,
    remove_route,
    routes,
    set_route,
)

__all__ = [
    "SMARTHOST",
    "Account",
    "Alias",
    "AlreadyThere",
    "Credential",
    "DirectoryError",
    "Domain",
    "Forward",
    "Found",
    "Network",
    "NewAccount",
    "NoSuchEntry",
    "Route",
    "Shadow",
    "Shadowed",
    "StillInUse",
    "account_by_address",
    "accounts",
    "add_account",
    "add_accounts",
    "add_domain",
    "add_network",
    "aliases",
    "credentials",
    "domains",
    "forwards",
    "networks",
    "remove_account",
    "remove_alias",
    "remove_domain",
    "remove_network",
    "remove_route",
    "renew_hash",
    "resolve",
    "routes",
    "set_alias",
    "set_catch_all",
    "set_enabled",
    "set_forward",
    "set_password",
    "set_quota",
    "set_route",
    "shadows_of_accounts",
]
