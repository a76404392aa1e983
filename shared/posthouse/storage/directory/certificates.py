"""Certificates of people: each is the fingerprint of one, and stands for the account that it is of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from posthouse.storage.directory.errors import AlreadyThere, NoSuchEntry, TooMany
from posthouse.storage.pool import Pool, Queries, Tx, transaction

MAX_CERTIFICATES = 100  # of an account

# Row lock: two that add at the same time count one after the other.
_HOLD = "select account_id from accounts where address = $1 for no key update"
_COUNT = "select count(*) from certificates where account_id = $1"
_ADD = """
    insert into certificates (account_id, name, fingerprint) values ($1, $2, $3)
        on conflict do nothing
 returning account_id
"""
_LIST = """
    select c.name, c.fingerprint, c.created_at
      from certificates c join accounts a using (account_id)
     where a.address = $1
     order by c.name
"""
_REMOVE = """
    delete from certificates c using accounts a
     where a.account_id = c.account_id and a.address = $1 and c.name = $2
"""
_OWNER = """
    select a.address from certificates c join accounts a using (account_id)
     where c.fingerprint = $1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate that lets somebody in.

    Attributes:
        name: The device.
        fingerprint: SHA-256 of the certificate, in hexadecimal digits.
        created: When it was added, UTC.
    """

    name: str
    fingerprint: str
    created: datetime


async def add_certificate(queries: Pool | Tx, address: str, name: str, fingerprint: str) -> None:
    """Add one; raise `NoSuchEntry`, `TooMany`, `AlreadyThere` if it or its name is taken."""
    async with transaction(queries) as tx:
        account = await tx.fetchval(_HOLD, address.lower())
        if account is None:
            raise NoSuchEntry(f"no account {address}")
        [counted] = await tx.fetch(_COUNT, account)
        if counted["count"] >= MAX_CERTIFICATES:
            raise TooMany(f"{address} has {MAX_CERTIFICATES} certificates already")
        if await tx.fetchval(_ADD, account, name, bytes.fromhex(fingerprint)) is None:
            raise AlreadyThere(
                f"{address} has a certificate {name} already, or this one is somebody's"
            )


async def certificates(queries: Queries, address: str) -> tuple[Certificate, ...]:
    """Return those of an account by name; none if there is no such account."""
    return tuple(
        Certificate(
            name=row["name"], fingerprint=row["fingerprint"].hex(), created=row["created_at"]
        )
        for row in await queries.fetch(_LIST, address.lower())
    )


async def remove_certificate(queries: Queries, address: str, name: str) -> None:
    """Take one away; it counts from the next login on. Raises `NoSuchEntry`."""
    if not await queries.execute(_REMOVE, address.lower(), name):
        raise NoSuchEntry(f"{address} has no certificate {name}")


async def owner_of(queries: Queries, fingerprint: str) -> str:
    """Return the account's address that a certificate stands for; empty if it is nobody's."""
    rows = await queries.fetch(_OWNER, bytes.fromhex(fingerprint))
    return rows[0]["address"] if rows else ""
