"""What proves that somebody is the owner of an account: hashes and keys, never a password."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from posthouse.storage.directory.errors import NoSuchEntry
from posthouse.storage.pool import Queries, Row

# One query for a login, whatever it brings; app passwords are few (`MAX_APP_PASSWORDS`).
_CREDENTIAL = """
    select account_id, address, password_hash, enabled, scram_sha_256, cram_md5,
           array(select (p.app_password_id, p.digest, p.last_used_at) from app_passwords p
                  where p.account_id = accounts.account_id) as app_passwords
      from accounts where address = $1
"""
# The keys go with the hash, always: those of an old password would let it in.
_SET_HASH = """
    update accounts set password_hash = $2, scram_sha_256 = $3, cram_md5 = $4 where address = $1
"""
# Only while it is still the hash the login was checked against: a new password wins.
_RENEW_HASH = """
    update accounts set password_hash = $3, scram_sha_256 = $4, cram_md5 = $5
     where account_id = $1 and password_hash = $2
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """What logs in without the password crossing the wire.

    Attributes:
        scram_sha_256: In the form of RFC 5803; None if it is not kept.
        cram_md5: In Dovecot's form; None if it is not kept.
    """

    scram_sha_256: str | None = field(default=None, repr=False)
    cram_md5: str | None = field(default=None, repr=False)


NO_KEYS = Keys()


@dataclass(frozen=True, slots=True, kw_only=True)
class AppDigest:
    """An app password as a login needs it.

    Attributes:
        id: Its number.
        digest: SHA-256 of it.
        last_used: To the minute, UTC; None if it never was.
    """

    id: int
    digest: bytes = field(repr=False)
    last_used: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What is needed of an account to log in.

    Attributes:
        account_id: Its number.
        address: Its address in the form of `Address.key`.
        password_hash: Of the password.
        enabled: False: nobody logs in.
        keys: Made of the same password as the hash.
        app_passwords: Those of its devices.
    """

    account_id: int
    address: str
    password_hash: str = field(repr=False)
    enabled: bool
    keys: Keys = NO_KEYS
    app_passwords: tuple[AppDigest, ...] = ()


async def credentials(queries: Queries, address: str) -> Credential | None:
    """Return what is needed to check a login as ``address``."""
    row = await queries.fetchrow(_CREDENTIAL, address.lower())
    return None if row is None else _credential_of(row)


def _credential_of(row: Row) -> Credential:
    return Credential(
        account_id=row["account_id"],
        address=row["address"],
        password_hash=row["password_hash"],
        enabled=row["enabled"],
        keys=Keys(scram_sha_256=row["scram_sha_256"], cram_md5=row["cram_md5"]),
        app_passwords=tuple(
            AppDigest(id=number, digest=bytes(digest), last_used=used)
            for number, digest, used in row["app_passwords"]
        ),
    )


async def set_password(
    queries: Queries, address: str, password_hash: str, keys: Keys = NO_KEYS
) -> None:
    """Replace the password: its hash and the keys made of it; raise `NoSuchEntry`."""
    keys_of = keys.scram_sha_256, keys.cram_md5
    if not await queries.execute(_SET_HASH, address.lower(), password_hash, *keys_of):
        raise NoSuchEntry(f"no account {address}")


async def renew_hash(
    queries: Queries, account: int, old_hash: str, new_hash: str, keys: Keys = NO_KEYS
) -> bool:
    """Replace hash and keys by others of the same password; False if the password was changed."""
    keys_of = keys.scram_sha_256, keys.cram_md5
    return bool(await queries.execute(_RENEW_HASH, account, old_hash, new_hash, *keys_of))
