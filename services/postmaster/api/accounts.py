"""Accounts: who has mailboxes here. A password comes in and never goes out."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from posthouse.credentials.passwords import Secrets
from posthouse.runtime.logins import keys_of
from posthouse.storage import directory
from posthouse.storage.directory import Account
from posthouse.storage.pool import Queries, transaction
from postmaster.api.fields import AddressKey, Body, DomainName, Limit, Octets, Password, page
from postmaster.api.imports import Entry, Imported, import_entries
from postmaster.api.parts import Means
from postmaster.api.problems import SHADOWED, invalid, not_found

MAX_IMPORT = 1000  # accounts per request: some seconds of hashing

router = APIRouter(tags=["accounts"])


class NewAccount(Body):
    """An account to be made; without a quota it is unlimited.

    With null for a password nobody logs in by one that lies here: app passwords, tokens, LDAP.
    """

    address: AddressKey
    password: Password | None
    quota_octets: Octets | None = None


class AccountChange(Body):
    """What is to be different; what is left out stays.

    A null quota means unlimited, a null password none that lies here.
    """

    password: Password | None = None
    quota_octets: Octets | None = None
    enabled: bool | None = None


class NewAccounts(BaseModel):
    """Many accounts at once; each is looked at by itself. A dry run only tells."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    accounts: Annotated[list[Entry], Field(max_length=MAX_IMPORT)]
    dry_run: bool = False


@router.get("/accounts")
async def list_accounts(
    means: Means, domain: DomainName | None = None, after: str = "", limit: Limit = 100
) -> dict[str, Any]:
    """Return the accounts by address, of one domain or all."""
    found = await directory.accounts(means.pool, after, limit, domain=domain)
    return page(found, limit, _shown, lambda account: account.address)


@router.post("/accounts", status_code=HTTPStatus.CREATED, responses=SHADOWED)
async def add_account(new: NewAccount, means: Means, *, force: bool = False) -> dict[str, Any]:
    """Make an account with its mailboxes; 404 if the domain is not ours, 409 if it exists.

    409 also if it would get no mail, because an alias of that address goes first, or if it would
    take mail that another gets by plus addressing; unless ``force``.
    """
    made = await means.hasher.one(new.password)
    await directory.add_account(
        means.pool,
        new.address,
        made.password_hash,
        new.quota_octets,
        keys=keys_of(made),
        force=force,
    )
    return await show_account(new.address, means)


@router.post("/imports/accounts", responses=SHADOWED)
async def import_accounts(new: NewAccounts, means: Means, *, force: bool = False) -> Imported:
    """Make many accounts; those that cannot be made are told, the others are made.

    Those that are there already are left as they are and counted. If one would get no mail or take
    another's, as with a single account, none is made: 409 with all of these, unless ``force``.
    """
    return await import_entries(
        means.pool, means.hasher, new.accounts, force=force, dry_run=new.dry_run
    )


@router.get("/accounts/{address:path}")
async def show_account(address: AddressKey, means: Means) -> dict[str, Any]:
    """Return one account."""
    account = await directory.account_by_address(means.pool, address)
    if account is None:
        raise not_found("account", address)
    return _shown(account)


@router.patch("/accounts/{address:path}", status_code=HTTPStatus.NO_CONTENT)
async def change_account(address: AddressKey, change: AccountChange, means: Means) -> None:
    """Set password, quota, enabled: whichever are given, all or none of them."""
    if not change.model_fields_set:
        raise invalid("Say what is to change: password, quota_octets or enabled.")
    is_password_given = "password" in change.model_fields_set
    made = await means.hasher.one(change.password) if is_password_given else None
    async with transaction(means.pool) as tx:
        await _apply(tx, address, change, made)


async def _apply(tx: Queries, address: str, change: AccountChange, made: Secrets | None) -> None:
    if made is not None:
        await directory.set_password(tx, address, made.password_hash, keys_of(made))
    if "quota_octets" in change.model_fields_set:
        await directory.set_quota(tx, address, change.quota_octets)
    if change.enabled is not None:
        await directory.set_enabled(tx, address, enabled=change.enabled)


@router.delete("/accounts/{address:path}", status_code=HTTPStatus.NO_CONTENT)
async def remove_account(address: AddressKey, means: Means) -> None:
    """Remove an account and everything in its mailboxes."""
    await directory.remove_account(means.pool, address)


def _shown(account: Account) -> dict[str, Any]:
    return {
        "id": account.id,
        "address": account.address,
        "enabled": account.enabled,
        "quota_octets": account.quota_octets,
        "used_octets": account.used_octets,
    }
