"""Our own accounts as a link: passwords, app passwords, keys of SCRAM and CRAM-MD5, claims."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hmac import compare_digest
from typing import Protocol

from posthouse.credentials import app_passwords, cram, scram
from posthouse.credentials.checking import Checker
from posthouse.credentials.exchange import (
    Accepted,
    Channel,
    Claim,
    Digest,
    Identity,
    Keys,
    Known,
    Password,
    Refused,
    Shown,
    Verdict,
)
from posthouse.credentials.passwords import (
    MAX_PASSWORD_OCTETS,
    Secrets,
    Wanted,
    are_outdated,
    is_outdated,
)
from posthouse.credentials.passwords import Keys as StoredKeys
from posthouse.mail.address import BadAddress, parse_address
from posthouse.mail.errors import Unavailable
from posthouse.telemetry.logs import get_logger

NOTED_EVERY = timedelta(minutes=1)  # the last use of an app password
_NOBODY = cram.cram_keys(secrets.token_urlsafe(32))

log = get_logger()


class AppDigest(Protocol):
    """An app password, as it is stored."""

    @property
    def id(self) -> int:
        """Its number."""

    @property
    def digest(self) -> bytes:
        """See `app_passwords.digest`."""

    @property
    def last_used(self) -> datetime | None:
        """When, to the minute; None if it never was."""


class Credential(Protocol):
    """What is stored of an account to log in; `posthouse.storage.directory` has it."""

    @property
    def account_id(self) -> int:
        """The account's number."""

    @property
    def address(self) -> str:
        """The account's address."""

    @property
    def password_hash(self) -> str:
        """Of the password."""

    @property
    def enabled(self) -> bool:
        """False if the account may not log in."""

    @property
    def keys(self) -> StoredKeys:
        """Of the password."""

    @property
    def app_passwords(self) -> Sequence[AppDigest]:
        """Of its devices."""


class Accounts(Protocol):
    """What is needed of the directory; everything raises `Unavailable` in an outage."""

    async def credential(self, address: str) -> Credential | None:
        """Return what is stored, None if there is no such account."""

    async def renew(self, account_id: int, old_hash: str, made: Secrets) -> object:
        """Store ``made`` of the same password, if it is still the one of ``old_hash``."""

    async def secret(self) -> bytes:
        """Return the secret behind what an unknown name is told in SCRAM; all pods share it."""

    async def note_use(self, app_password: int, service: str, client: str) -> object:
        """Write down that an app password was used now."""

    async def owner(self, fingerprint: str) -> str:
        """Return the address of whom a certificate stands for; empty if it is nobody's."""


class LocalAccounts:
    """Judges by what our directory has stored.

    Args:
        accounts: The directory.
        checker: Checks passwords.
        wanted: Which keys are kept.
    """

    def __init__(self, accounts: Accounts, checker: Checker, *, wanted: Wanted) -> None:
        self._accounts = accounts
        self._checker = checker
        self._wanted = wanted
        self._secret = b""
        self._renewing: set[int] = set()

    async def judge(self, attempt: object, channel: Channel) -> Verdict | None:
        """Judge as `authenticator.Link` says."""
        match attempt:
            case Password():
                return await self._password(attempt, channel)
            case Keys():
                return await self._keys(attempt)
            case Digest():
                return await self._digest(attempt)
            case Claim() | Shown():
                return _verdict(await self._claimed(attempt))
            case _:
                return None

    async def _find(self, user: str) -> Credential | None:
        """Return who is called ``user`` and may log in."""
        found = await self._accounts.credential(_address(user))
        return found if found is not None and found.enabled else None

    async def _claimed(self, attempt: Claim | Shown) -> Credential | None:
        """Return whom the proof of others is of; a certificate speaks for nobody but its owner."""
        if isinstance(attempt, Claim):
            return await self._find(attempt.user)
        owner = await self._accounts.owner(attempt.fingerprint)
        is_meant = owner and (not attempt.user or _address(attempt.user) == owner)
        return await self._find(owner) if is_meant else None

    async def _password(self, attempt: Password, channel: Channel) -> Verdict:
        """An unknown name costs as much time as a wrong password."""
        if len(attempt.password.encode()) > MAX_PASSWORD_OCTETS:
            return Refused()
        found = await self._find(attempt.user)
        if found is not None and await self._is_of_a_device(found, attempt.password, channel):
            return _verdict(found)
        stored = found.password_hash if found else None
        if not await self._checker.check(stored, attempt.password) or found is None:
            return Refused()
        await self._renew(found, attempt.password)
        return _verdict(found)

    async def _is_of_a_device(self, found: Credential, password: str, channel: Channel) -> bool:
        """True if it is one of the account's app passwords; its use is written down."""
        digest = app_passwords.digest(password)
        used = [one for one in found.app_passwords if digest and compare_digest(one.digest, digest)]
        if used and (not used[0].last_used or _now() - used[0].last_used >= NOTED_EVERY):
            try:
                await self._accounts.note_use(used[0].id, channel.service, channel.client)
            except Unavailable as outage:  # the login succeeds all the same
                log.warning(
                    "app password's use not noted", app_password=used[0].id, why=str(outage)
                )
        return bool(used)

    async def _renew(self, found: Credential, password: str) -> None:
        """Bring what is stored up to date; the login succeeds even if it cannot be stored now."""
        account, old_hash = found.account_id, found.password_hash
        is_current = not (is_outdated(old_hash) or are_outdated(found.keys, self._wanted))
        if is_current or account in self._renewing:
            return
        self._renewing.add(account)
        try:
            made = await self._checker.secrets(password, self._wanted)
            await self._accounts.renew(account, old_hash, made)
        except Unavailable as outage:
            log.warning("password hash not renewed", account=account, why=str(outage))
        finally:
            self._renewing.discard(account)

    async def _keys(self, attempt: Keys) -> Known:
        """Who has no keys is told what looks like them, and cannot be told from who is unknown."""
        found = await self._find(attempt.user)
        keys = found.keys.scram_sha_256 if found and self._wanted.scram else None
        self._secret = self._secret or await self._accounts.secret()
        if found is None or keys is None:
            return Known(None, str(scram.decoy(_address(attempt.user), self._secret)))
        return Known(_identity(found), keys)

    async def _digest(self, attempt: Digest) -> Verdict:
        found = await self._find(attempt.user)
        keys = found.keys.cram_md5 if found and self._wanted.cram_md5 else None
        fits = cram.fits(keys or _NOBODY, attempt.challenge, attempt.digest)
        return _verdict(found) if fits and keys else Refused()


def _address(user: str) -> str:
    """Return the key of an account; a name that is no address cannot be one, but costs as much."""
    try:
        return parse_address(user).key
    except BadAddress:
        return ""


def _verdict(found: Credential | None) -> Accepted | Refused:
    return Accepted(_identity(found)) if found is not None else Refused()


def _identity(found: Credential) -> Identity:
    return Identity(account_id=found.account_id, address=found.address)


def _now() -> datetime:
    return datetime.now(UTC)
