"""Who may open our DKIM keys, and what is signed with them.

Private keys lie in PostgreSQL, encrypted by AES-256-GCM under ``POSTHOUSE_DKIM_SECRET``; without that
under a secret of the same database, which keeps them out of logs and listings, not out of a dump.
Where the setting comes later, what was sealed before opens still, and the postmaster seals it anew.
They are remembered for `REMEMBER`: a new key signs within seconds, a retired one as soon no more.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Annotated

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import AfterValidator, SecretStr

from posthouse.authenticity.dkim import Signer, digest_bodies, sign
from posthouse.authenticity.dkim.bodies import Digest
from posthouse.authenticity.dkim.headers import Header
from posthouse.authenticity.dkim.making import algorithm_of
from posthouse.mail.errors import Unavailable
from posthouse.mail.header import header_end
from posthouse.runtime.settings import CommonSettings
from posthouse.storage.dkim_keys import (
    SealedKey,
    does_anybody_sign,
    sealed_keys,
    signing_keys,
)
from posthouse.storage.keyring import shared_secret
from posthouse.storage.pool import Pool
from posthouse.telemetry.logs import get_logger

REMEMBER = timedelta(seconds=5)
MAX_REMEMBERED = 20_000  # domains
MIN_SECRET_CHARACTERS = 32
ON_LOOP_OCTETS = 256 * 1024  # a larger body is hashed in a thread
_NAME = "dkim keys"  # the secret where the settings have none
_NONCE_OCTETS = 12
LOOKED_AT = 1000  # keys, at the start
TOLD = 10  # domains in one line of the log

log = get_logger()


def _long(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value()) < MIN_SECRET_CHARACTERS:
        raise ValueError(f"must have at least {MIN_SECRET_CHARACTERS} characters")
    return secret


class DkimSettings(CommonSettings):
    """What all are told who sign.

    Attributes:
        dkim_secret: What private keys are encrypted under in PostgreSQL, the same for all services;
            without it, a random one is made once and kept beside them.
    """

    dkim_secret: Annotated[SecretStr, AfterValidator(_long)] | None = None

    async def dkim_vault(self, pool: Pool) -> Vault:
        """Return what seals and opens keys; raise `Unavailable`."""
        beside = await shared_secret(pool, _NAME)
        if self.dkim_secret is None:
            log.warning("DKIM keys lie beside what opens them: set POSTHOUSE_DKIM_SECRET")
            return Vault(beside)
        return Vault(self.dkim_secret.get_secret_value().encode(), beside)


class Vault:
    """Seals private keys, and opens them."""

    def __init__(self, secret: bytes, *older: bytes) -> None:
        """Seal under ``secret``; open also what was sealed under one of ``older``."""
        self._box, *self._older = map(_box, (secret, *older))

    def seal(self, domain: str, selector: str, pem: str) -> SealedKey:
        """Return a key as it is kept; it opens for this domain and selector only."""
        nonce = secrets.token_bytes(_NONCE_OCTETS)
        sealed = nonce + self._box.encrypt(nonce, pem.encode(), _place(domain, selector))
        return SealedKey(
            domain=domain, selector=selector, algorithm=algorithm_of(pem), sealed=sealed
        )

    def open(self, key: SealedKey) -> Signer:
        """Return who signs with ``key``; raise `Unavailable` if it was sealed under another secret."""
        for box in (self._box, *self._older):
            if (pem := _opened(box, key)) is not None:
                return Signer(domain=key.domain, selector=key.selector, key=pem)
        raise Unavailable(
            f"DKIM key {key.selector} of {key.domain} was sealed under another secret"
        )

    def opens(self, key: SealedKey) -> bool:
        """True if ``key`` can be opened."""
        return any(_opened(box, key) is not None for box in (self._box, *self._older))

    def anew(self, key: SealedKey) -> SealedKey | None:
        """Return ``key`` under the secret of now, None if it is; raise `Unavailable` as `open`."""
        if _opened(self._box, key) is not None:
            return None
        return self.seal(key.domain, key.selector, self.open(key).key)


def _box(secret: bytes) -> AESGCM:
    return AESGCM(sha256(b"posthouse dkim keys\0" + secret).digest())


def _opened(box: AESGCM, key: SealedKey) -> str | None:
    nonce, sealed = key.sealed[:_NONCE_OCTETS], key.sealed[_NONCE_OCTETS:]
    try:
        return box.decrypt(nonce, sealed, _place(key.domain, key.selector)).decode()
    except InvalidTag:
        return None


def _place(domain: str, selector: str) -> bytes:
    return f"{selector}._domainkey.{domain}".encode()


async def look_at_keys(pool: Pool, settings: DkimSettings) -> None:
    """Tell the log, at the start, of keys that this process cannot open; raise `Unavailable`.

    Their mail is put off, not sent unsigned: better that an operator hears of it before a sender does.
    """
    keys = await sealed_keys(pool, ("", ""), LOOKED_AT)
    vault = await settings.dkim_vault(pool) if keys else None
    closed = [key for key in keys if vault is not None and not vault.opens(key)]
    if closed:
        log.error(
            "DKIM keys cannot be opened: POSTHOUSE_DKIM_SECRET is not what they were sealed under",
            keys=len(closed),
            domains=sorted({key.domain for key in closed})[:TOLD],
        )


class SigningKeys:
    """The active keys, as this process knows them."""

    def __init__(self, pool: Pool, settings: DkimSettings) -> None:
        self._pool = pool
        self._settings = settings
        self._vault: Vault | None = None
        self._known: OrderedDict[str, tuple[float, tuple[Signer, ...]]] = OrderedDict()
        self._anybody: tuple[float, bool] = (0.0, False)

    async def does_anybody_sign(self) -> bool:
        """True if there is an active key, as of `REMEMBER` ago; raise `Unavailable`."""
        if self._anybody[0] < time.monotonic():
            found = await does_anybody_sign(self._pool)
            self._anybody = (time.monotonic() + REMEMBER.total_seconds(), found)
        return self._anybody[1]

    async def signers(self, domains: Sequence[str]) -> tuple[Signer, ...]:
        """Return who signs for the first of ``domains`` that has keys; Ed25519 first, then RSA.

        A domain above it signs for one that has no keys itself (RFC 7489 §3.1.1). Raises `Unavailable`.
        """
        if not await self.does_anybody_sign():
            return ()
        wanted = [name for domain in domains for name in _upwards(domain.lower())]
        known = await self._ask(wanted)
        return next((found for name in wanted if (found := known[name])), ())

    async def _ask(self, names: Sequence[str]) -> dict[str, tuple[Signer, ...]]:
        now = time.monotonic()
        known = {name: at[1] for name in names if (at := self._known.get(name)) and at[0] > now}
        if stale := [name for name in dict.fromkeys(names) if name not in known]:
            found = await self._fetch(stale)
            until = time.monotonic() + REMEMBER.total_seconds()
            for name in stale:
                known[name] = found.get(name, ())
                self._known[name] = (until, known[name])
                self._known.move_to_end(name)
            while len(self._known) > MAX_REMEMBERED:
                self._known.popitem(last=False)
        return known

    async def _fetch(self, names: Sequence[str]) -> dict[str, tuple[Signer, ...]]:
        rows = await signing_keys(self._pool, names)
        if rows and self._vault is None:
            self._vault = await self._settings.dkim_vault(self._pool)
        found: dict[str, tuple[Signer, ...]] = {}
        for row in rows:
            if self._vault is not None:
                found[row.domain] = (*found.get(row.domain, ()), self._vault.open(row))
        return found

    async def signed(self, octets: bytes, domain: str) -> bytes:
        """Return a message of our own with signatures of ``domain``, if it has keys.

        Raises `Unavailable`.
        """
        signers = await self.signers([domain])
        if not signers:
            return octets
        start = header_end(octets)
        header, digest = Header(octets[:start]), await body_digest(octets[start:])
        return sign(header, digest, signers, datetime.now(UTC)) + octets


async def body_digest(body: bytes) -> Digest:
    """Return the hash of ``body`` in the form that we sign, simple; of a large one in a thread."""
    if len(body) <= ON_LOOP_OCTETS:
        return digest_bodies([body], {"simple"})["simple"]
    return (await asyncio.to_thread(digest_bodies, [body], {"simple"}))["simple"]


def _upwards(domain: str) -> list[str]:
    """Return ``domain`` and those above it, none of them a top-level domain."""
    labels = domain.split(".")
    return [".".join(labels[at:]) for at in range(max(1, len(labels) - 1))]
