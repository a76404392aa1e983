"""An OpenID Connect issuer: whose tokens we believe, and with which keys it signs them.

    token ─▶ keys at hand? ─▶ read (`tokens`) ─▶ address ─▶ account
               │ too old, or the token names another
               ▼
    GET <issuer>/.well-known/openid-configuration ─▶ jwks_uri ─▶ GET keys

Keys are fetched when a login needs them, once for all that wait. A token with an unknown key makes
us look for new ones, but seldom: anybody can make up such tokens. While the issuer is away the keys
at hand serve on, for a day.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import aiohttp
import msgspec

from posthouse.credentials import tokens
from posthouse.credentials.authenticator import Link
from posthouse.credentials.bearer import Bearer, Denied
from posthouse.credentials.exchange import Accepted, Channel, Claim, Verdict
from posthouse.credentials.tokens import BadToken, Key, Terms, UnknownKey
from posthouse.mail.errors import Unavailable
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter
from posthouse.telemetry.outages import Outage
from posthouse.telemetry.probes import Clock

CONFIGURATION = "/.well-known/openid-configuration"  # OpenID Connect Discovery §4
REFRESH = timedelta(hours=1)
SEEK = timedelta(seconds=30)  # between two looks for a key that is not there, or after an outage
STALE = timedelta(days=1)  # keys that could not be fetched anew for so long are believed no more
PATIENCE = timedelta(seconds=5)  # for each answer of the issuer
MAX_OCTETS = 262_144  # of an answer

# What fetching keys raises: nobody answers, or not with keys.
_NO_KEYS = (aiohttp.ClientError, TimeoutError, OSError, ValueError)

_tokens = counter("posthouse_oidc_tokens_total", "Tokens judged.", "outcome")
_fetches = counter("posthouse_oidc_fetches_total", "Fetches of the issuer's keys.", "outcome")
log = get_logger()


@dataclass(frozen=True, slots=True)
class _Fetched:
    """Keys, and since when we have them."""

    keys: tuple[Key, ...]
    at: float


class Issuer:
    """Judges tokens: ``async with Issuer(terms, accounts) as link``.

    Args:
        terms: What a token must say.
        accounts: Knows which accounts there are: is asked a `Claim`.
        trust: The authorities of the issuer's certificate; None for the system's.
        clock: Seconds that only go forward.
    """

    def __init__(
        self,
        terms: Terms,
        accounts: Link,
        *,
        trust: ssl.SSLContext | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._terms = terms
        self._accounts = accounts
        self._clock = clock
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=2, ssl=trust or True),
            timeout=aiohttp.ClientTimeout(total=PATIENCE.total_seconds()),
            headers={"Accept": "application/json"},
        )
        self._fetched: _Fetched | None = None
        self._tried = float("-inf")
        self._fetching: asyncio.Task[None] | None = None
        self._outage = Outage("issuer went away", "issuer is back", issuer=terms.issuer)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)
        await self._http.close()

    async def judge(self, attempt: object, channel: Channel) -> Verdict | None:
        """Return the verdict on a `Bearer`, None for anything else.

        Raises `Unavailable` if there are no keys to check it with, or no directory.
        """
        if not isinstance(attempt, Bearer):
            return None
        try:
            proven = await self._prove(attempt, channel)
        except BadToken as bad:
            _tokens.labels(bad.fault).inc()
            log.info("token refused", fault=bad.fault, client=channel.client)
            return Denied(status="insufficient_scope" if bad.fault == "scope" else "invalid_token")
        except Unavailable:
            _tokens.labels("unavailable").inc()
            raise
        _tokens.labels("accepted").inc()
        return proven

    async def _prove(self, attempt: Bearer, channel: Channel) -> Accepted:
        if not attempt.token:
            raise BadToken("malformed")
        address = await self._address(attempt.token)
        verdict = await self._accounts.judge(Claim(user=address), channel)
        if not isinstance(verdict, Accepted):
            raise BadToken("account")
        if not self._names(attempt.user, verdict.identity.address):
            raise BadToken("account")
        return verdict

    def _names(self, user: str, address: str) -> bool:
        """True if ``user``, whom the client wants to be, is the one of the token."""
        domain = self._terms.domain
        wanted = user if "@" in user or not domain else f"{user}@{domain}"
        return not user or wanted.lower() == address

    async def _address(self, token: str) -> str:
        try:
            return tokens.read(token, await self._keys(), self._terms)
        except UnknownKey:
            await self._seek()
        try:
            return tokens.read(token, await self._keys(), self._terms)
        except UnknownKey as unknown:
            raise BadToken("signature") from unknown

    # ---- keys

    async def examine(self) -> int:
        """Fetch the keys, for an operator, and return how many; `Unavailable` says why not."""
        try:
            return len(await self._published())
        except _NO_KEYS as error:
            raise Unavailable(f"{type(error).__name__}: {error}") from error

    async def _keys(self) -> tuple[Key, ...]:
        """Return the issuer's keys; old ones serve on while new ones are fetched."""
        if self._age() > STALE.total_seconds():
            await self._seek()
        elif self._age() > REFRESH.total_seconds():
            self._begin_to_fetch()
        if self._fetched is None or self._age() > STALE.total_seconds():
            raise Unavailable("The issuer of tokens does not answer")
        return self._fetched.keys

    def _age(self) -> float:
        """Return for how many seconds we have had the keys."""
        return float("inf") if self._fetched is None else self._clock() - self._fetched.at

    async def _seek(self) -> None:
        """Fetch the keys, unless that was tried a moment ago; all who want them wait for one."""
        self._begin_to_fetch()
        if self._fetching is not None:  # whoever gives up waiting does not end it for the others
            await asyncio.shield(self._fetching)

    def _begin_to_fetch(self) -> None:
        now = self._clock()
        if self._fetching is not None or now - self._tried < SEEK.total_seconds():
            return
        self._tried = now
        self._fetching = asyncio.create_task(self._fetch(), name="keys of the issuer")

    async def _fetch(self) -> None:
        try:
            keys = await self._published()
        except _NO_KEYS as error:
            _fetches.labels("failed").inc()
            self._outage.away(f"{type(error).__name__}: {error}")
            return
        finally:
            self._fetching = None
        _fetches.labels("succeeded").inc()
        self._outage.over()
        self._fetched = _Fetched(keys, self._clock())
        log.info("keys of the issuer fetched", issuer=self._terms.issuer, keys=len(keys))

    async def _published(self) -> tuple[Key, ...]:
        return tokens.keys_of(await self._get(await self._jwks_uri()))

    async def _jwks_uri(self) -> str:
        """Ask the issuer where its keys are (OpenID Connect Discovery §4.3)."""
        found = await self._get(configuration_of(self._terms.issuer))
        if not isinstance(found, dict) or found.get("issuer") != self._terms.issuer:
            raise ValueError("the configuration is that of another issuer")
        place = found.get("jwks_uri")
        if not isinstance(place, str) or not is_safe(place):
            raise ValueError("jwks_uri is missing or not https")
        return place

    async def _get(self, url: str) -> object:
        """Return a JSON document; raise what aiohttp does, and ValueError for any other answer."""
        async with self._http.get(url, allow_redirects=False) as response:
            if response.status != 200:  # noqa: PLR2004 - RFC 9110 §15.3.1
                raise ValueError(f"{url} answered {response.status}")
            octets = bytearray()
            async for chunk in response.content.iter_any():
                octets += chunk
                if len(octets) > MAX_OCTETS:
                    raise ValueError(f"{url} answered with more than {MAX_OCTETS} octets")
        found: object = msgspec.json.decode(octets)  # DecodeError is a ValueError
        return found


def configuration_of(issuer: str) -> str:
    """Return the address of the issuer's OpenID configuration."""
    return issuer.rstrip("/") + CONFIGURATION


def is_safe(url: str) -> bool:
    """True for what nobody in between can change: https, or a server on this machine."""
    parts = urlsplit(url)
    local = parts.hostname in {"localhost", "127.0.0.1", "::1"}
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and local))
