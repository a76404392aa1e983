"""App passwords: one for each device, so that a lost phone costs one line and no new password."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from posthouse.storage.directory.errors import AlreadyThere, NoSuchEntry, TooMany
from posthouse.storage.pool import Pool, Queries, Row, Tx, transaction

MAX_APP_PASSWORDS = 100  # of an account; all are looked at with each login

# Row lock: two that add at the same time count one after the other.
_HOLD = "select account_id from accounts where address = $1 for no key update"
_COUNT = "select count(*) from app_passwords where account_id = $1"
_ADD = """
    insert into app_passwords (account_id, name, digest) values ($1, $2, $3)
        on conflict (account_id, name) do nothing
 returning app_password_id
"""
_LIST = """
    select p.name, p.created_at, p.last_used_at, p.last_service, p.last_client
      from app_passwords p join accounts a using (account_id)
     where a.address = $1
     order by p.name
"""
_REVOKE = """
    delete from app_passwords p using accounts a
     where a.account_id = p.account_id and a.address = $1 and p.name = $2
"""
_NOTE_USE = """
    update app_passwords
       set last_used_at = date_trunc('minute', now()), last_service = $2, last_client = $3
     where app_password_id = $1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppPassword:
    """An app password as its owner sees it; what it is, nobody sees again.

    Attributes:
        name: The device.
        created: When it was made, UTC.
        last_used: To the minute, UTC; None if it never was.
        last_service: ``smtp``, ``imap`` or ``pop``; empty if it never was used.
        last_client: The address that it was used from; empty if it never was.
    """

    name: str
    created: datetime
    last_used: datetime | None
    last_service: str
    last_client: str


async def add_app_password(queries: Pool | Tx, address: str, name: str, digest: bytes) -> None:
    """Add one; raise `NoSuchEntry`, `AlreadyThere` if the name is taken, `TooMany`."""
    async with transaction(queries) as tx:
        account = await tx.fetchval(_HOLD, address.lower())
        if account is None:
            raise NoSuchEntry(f"no account {address}")
        [counted] = await tx.fetch(_COUNT, account)
        if counted["count"] >= MAX_APP_PASSWORDS:
            raise TooMany(f"{address} has {MAX_APP_PASSWORDS} app passwords already")
        if await tx.fetchval(_ADD, account, name, digest) is None:
            raise AlreadyThere(f"{address} has an app password {name} already")


async def app_passwords(queries: Queries, address: str) -> tuple[AppPassword, ...]:
    """Return those of an account by name; none if there is no such account."""
    return tuple(map(_app_password_of, await queries.fetch(_LIST, address.lower())))


async def revoke_app_password(queries: Queries, address: str, name: str) -> None:
    """Take one away; it counts from the next login on. Raises `NoSuchEntry`."""
    if not await queries.execute(_REVOKE, address.lower(), name):
        raise NoSuchEntry(f"{address} has no app password {name}")


async def note_use(queries: Queries, app_password: int, service: str, client: str) -> None:
    """Write down that one has just been used; nothing if it was revoked meanwhile."""
    await queries.execute(_NOTE_USE, app_password, service, client)


def _app_password_of(row: Row) -> AppPassword:
    return AppPassword(
        name=row["name"],
        created=row["created_at"],
        last_used=row["last_used_at"],
        last_service=row["last_service"] or "",
        last_client=row["last_client"] or "",
    )
