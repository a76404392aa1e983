"""Passwords: argon2id hashes, verified off the event loop and not twice (RFC 9106).

One verification costs some 17 ms and 19 MiB on purpose, and a mail client logs in again and again.
So an outcome is remembered for minutes under an HMAC of password and stored hash (the key is made
at start and never leaves the process); the stored hash itself is fetched every time, so a changed
password, a disabled or a removed account counts at once.

Accounts that were imported by the thousand have a lighter hash (docs/decisions, "light hashes at
import"); it is replaced by one of full strength at the first login, the only moment that knows the
password.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import TracebackType
from typing import Protocol, Self, TypeAlias, TypeVar

import argon2

from posthouse.mail.errors import Unavailable
from posthouse.telemetry.logs import get_logger

MEMORY_KIB = 19 * 1024  # OWASP: argon2id with m=19 MiB, t=2, p=1
ITERATIONS = 2
LANES = 1
MAX_PASSWORD_OCTETS = 1024  # longer ones are refused unread, nobody types them
MAX_WAITING = 256  # verifications in line before the next is told to come later
MAX_REMEMBERED = 10_000
REMEMBER = timedelta(minutes=5)

IMPORT_MEMORY_KIB = 9 * 1024  # 4 ms instead of 17: 10,000 accounts in half a minute on two cores
IMPORT_ITERATIONS = 1

_hasher = argon2.PasswordHasher(time_cost=ITERATIONS, memory_cost=MEMORY_KIB, parallelism=LANES)
_light_hasher = argon2.PasswordHasher(
    time_cost=IMPORT_ITERATIONS, memory_cost=IMPORT_MEMORY_KIB, parallelism=LANES
)

log = get_logger()


class Credential(Protocol):
    """What is needed of an account to log in; `posthouse.storage.directory` has it."""

    @property
    def account_id(self) -> int:
        """The account's number."""

    @property
    def address(self) -> str:
        """The account's address."""

    @property
    def password_hash(self) -> str:
        """The stored argon2id hash (PHC string)."""

    @property
    def enabled(self) -> bool:
        """False if the account may not log in."""


C = TypeVar("C", bound=Credential)
Upgrade: TypeAlias = Callable[[int, str, str], Awaitable[object]]


def hash_password(password: str) -> str:
    """Return the argon2id hash of ``password`` as a PHC string; 17 ms, so call it off the loop."""
    return _hasher.hash(password)


def hash_for_import(password: str) -> str:
    """Return a lighter argon2id hash of ``password``, to be replaced at the first login."""
    return _light_hasher.hash(password)


def is_outdated(password_hash: str) -> bool:
    """True if a hash was not made with today's parameters and should be made anew."""
    try:
        return _hasher.check_needs_rehash(password_hash)
    except argon2.exceptions.InvalidHashError:
        return False


def matches(password_hash: str, password: str) -> bool:
    """True if ``password`` is the one that was hashed; 17 ms, so call it off the loop.

    A stored hash that is no argon2 hash matches nothing. A wrong password costs at least the full
    time even against a light hash: the time must not tell who was imported and never came.
    """
    try:
        return _hasher.verify(password_hash, password)
    except argon2.exceptions.VerificationError:
        if is_outdated(password_hash):
            _hasher.hash(password)
        return False
    except argon2.exceptions.InvalidHashError:
        return False


class Verifier:
    """Verifies passwords for one service: ``async with Verifier(fetch) as verifier``.

    Args:
        fetch: Looks up an address; None if there is no such account; `Unavailable` in an outage.
        threads: How many verifications run at once; each takes 19 MiB and one core.
        upgrade: Stores a new hash of the same password (`posthouse.storage.directory`:
            account, old hash, new hash), called when the stored one is lighter than today's.
    """

    def __init__(
        self,
        fetch: Callable[[str], Awaitable[C | None]],
        *,
        threads: int | None = None,
        upgrade: Upgrade | None = None,
    ) -> None:
        self._fetch: Callable[[str], Awaitable[Credential | None]] = fetch
        self._upgrade = upgrade
        self._pool = ThreadPoolExecutor(
            threads or min(4, os.cpu_count() or 1), thread_name_prefix="argon2"
        )
        self._secret = secrets.token_bytes(32)
        self._nobody = ""  # the hash that an unknown address is checked against
        self._remembered: OrderedDict[bytes, tuple[float, bool]] = OrderedDict()
        self._running: dict[bytes, asyncio.Future[bool]] = {}

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._nobody = await loop.run_in_executor(
            self._pool, hash_password, secrets.token_urlsafe(32)
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def verify(self, address: str, password: str) -> Credential | None:
        """Return the account's credential if the password is right, else None.

        An unknown address costs as much time as a wrong password. Raises `Unavailable` if the
        directory does not answer or too many verifications wait.
        """
        if len(password.encode()) > MAX_PASSWORD_OCTETS:
            return None
        credential = await self._fetch(address)
        stored = credential.password_hash if credential else self._nobody
        right = await self._check(stored, password)
        if not (right and credential and credential.enabled):
            return None
        if self._upgrade and is_outdated(stored):
            await self._renew(self._upgrade, credential, password)
        return credential

    async def _renew(self, upgrade: Upgrade, credential: Credential, password: str) -> None:
        """Replace a light hash; the login succeeds even if the directory cannot take it now."""
        loop = asyncio.get_running_loop()
        fresh = await loop.run_in_executor(self._pool, hash_password, password)
        try:
            await upgrade(credential.account_id, credential.password_hash, fresh)
        except Unavailable as outage:
            log.warning("password hash not renewed", account=credential.account_id, why=str(outage))

    async def _check(self, stored: str, password: str) -> bool:
        """Answer from memory, from a check that is running, or by a new one."""
        key = hmac.digest(self._secret, f"{stored}\0{password}".encode(), hashlib.sha256)
        known = self._recall(key)
        if known is not None:
            return known
        running = self._running.get(key)
        if running is None:
            if len(self._running) >= MAX_WAITING:
                raise Unavailable("Too many logins at once")
            loop = asyncio.get_running_loop()
            running = loop.run_in_executor(self._pool, matches, stored, password)
            self._running[key] = running
            running.add_done_callback(lambda done: self._finished(key, done))
        return await asyncio.shield(running)

    def _recall(self, key: bytes) -> bool | None:
        """Return a remembered outcome, None if there is none or it is too old."""
        entry = self._remembered.get(key)
        if entry is None:
            return None
        if entry[0] < time.monotonic():
            del self._remembered[key]
            return None
        self._remembered.move_to_end(key)
        return entry[1]

    def _finished(self, key: bytes, done: asyncio.Future[bool]) -> None:
        """Remember the outcome, forgetting the one that was unused for longest."""
        del self._running[key]
        if done.cancelled() or done.exception() is not None:
            return
        self._remembered[key] = (time.monotonic() + REMEMBER.total_seconds(), done.result())
        if len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)
