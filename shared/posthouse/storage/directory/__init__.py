"""The directory: who is here, and what an address means.

Operators change it at run time; every pod asks it, or caches it for seconds. Addresses are kept
in the form of `Address.key`, so two spellings of one mailbox are one row.
"""

from posthouse.storage.directory.accounts import (
    Account,
    NewAccount,
    account_by_address,
    accounts,
    add_account,
    add_accounts,
    remove_account,
    set_enabled,
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
from posthouse.storage.directory.app_passwords import (
    AppPassword,
    add_app_password,
    app_passwords,
    note_use,
    revoke_app_password,
)
from posthouse.storage.directory.certificates import (
    Certificate,
    add_certificate,
    certificates,
    owner_of,
    remove_certificate,
)
from posthouse.storage.directory.delegates import (
    Delegate,
    allow_delegate,
    delegates,
    lent,
    revoke_delegate,
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
    TooMany,
)
from posthouse.storage.directory.networks import (
    Network,
    add_network,
    networks,
    remove_network,
)
from posthouse.storage.directory.precedence import shadows_of_accounts
from posthouse.storage.directory.resolving import Found, resolve
from posthouse.storage.directory.routes import (
    Relay,
    Route,
    relays,
    remove_relay,
    remove_route,
    route_of,
    routes,
    set_relay,
    set_route,
    ways_fingerprint,
)
from posthouse.storage.directory.secrets import (
    NO_KEYS,
    AppDigest,
    Credential,
    Keys,
    credentials,
    renew_hash,
    set_password,
)
from posthouse.storage.directory.table import Table

__all__ = [
    "NO_KEYS",
    "Account",
    "Alias",
    "AlreadyThere",
    "AppDigest",
    "AppPassword",
    "Certificate",
    "Credential",
    "Delegate",
    "DirectoryError",
    "Domain",
    "Forward",
    "Found",
    "Keys",
    "Network",
    "NewAccount",
    "NoSuchEntry",
    "Relay",
    "Route",
    "Shadow",
    "Shadowed",
    "StillInUse",
    "Table",
    "TooMany",
    "account_by_address",
    "accounts",
    "add_account",
    "add_accounts",
    "add_app_password",
    "add_certificate",
    "add_domain",
    "add_network",
    "aliases",
    "allow_delegate",
    "app_passwords",
    "certificates",
    "credentials",
    "delegates",
    "domains",
    "forwards",
    "lent",
    "networks",
    "note_use",
    "owner_of",
    "relays",
    "remove_account",
    "remove_alias",
    "remove_certificate",
    "remove_domain",
    "remove_network",
    "remove_relay",
    "remove_route",
    "renew_hash",
    "resolve",
    "revoke_app_password",
    "revoke_delegate",
    "route_of",
    "routes",
    "set_alias",
    "set_catch_all",
    "set_enabled",
    "set_forward",
    "set_password",
    "set_quota",
    "set_relay",
    "set_route",
    "shadows_of_accounts",
    "ways_fingerprint",
]
