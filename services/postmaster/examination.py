"""Examining a configuration: settings in an operator's words, and every connection really tried."""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from cryptography import x509
from pydantic import SecretStr

from posthouse.blobs import open_blobs
from posthouse.bus.check import check
from posthouse.credentials.exchange import Attempt, Channel
from posthouse.credentials.ldap.directory import Directory, Plan
from posthouse.credentials.oidc import Issuer
from posthouse.credentials.tokens import Terms
from posthouse.mail.errors import MailFailure
from posthouse.runtime.settings import CommonSettings, read
from posthouse.runtime.source_settings import SourceSettings
from posthouse.storage.migrate import SchemaConflict, schema_is_current
from posthouse.storage.pool import open_pool
from postmaster.settings import PostmasterSettings

SETTINGS_GROUP = "posthouse.settings"  # pyproject.toml: each service names its settings
TRY_SECONDS = 15.0
S = TypeVar("S", bound=CommonSettings)
RENEW_BEFORE = timedelta(days=7)  # a certificate this close to its end is a finding

# What a part that cannot be reached or used raises; anything else is a bug and escapes.
_TROUBLE = (MailFailure, SchemaConflict, OSError, ssl.SSLError, TimeoutError, ValueError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one look at the configuration found.

    Attributes:
        part: What was looked at.
        fine: True if it is as it should be.
        text: What was found, for the operator.
    """

    part: str
    fine: bool
    text: str

    def as_json(self) -> dict[str, object]:
        """Return it as the API shows it."""
        return asdict(self)


async def examine_environment() -> list[Finding]:
    """Examine the settings of all services in this environment, and what they point to."""
    findings = list(examine_settings())
    settings = read(PostmasterSettings)
    if not isinstance(settings, list):
        findings += await examine_connections(settings)
    return findings + await examine_sources()


def examine_settings() -> Iterator[Finding]:
    """Read every service's settings from the environment; each fault is a finding."""
    for service in sorted(entry_points(group=SETTINGS_GROUP), key=lambda entry: entry.name):
        found = read(settings_class(service.load()))
        part = f"settings of {service.name}"
        if not isinstance(found, list):
            yield Finding(part=part, fine=True, text="complete")
            continue
        for fault in found:
            yield Finding(part=part, fine=False, text=fault)


def settings_class(module: ModuleType) -> type[CommonSettings]:
    """Return the one settings class that a service's module defines."""
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, CommonSettings)
        and value.__module__ == module.__name__
    ]
    (found,) = classes
    return found


async def examine_connections(settings: CommonSettings) -> list[Finding]:
    """Try everything the settings point to, all at once."""
    tried: dict[str, Callable[[CommonSettings], Awaitable[str]]] = {
        "database": _database,
        "schema": _schema,
        "broker": _broker,
        "store": _store,
        "certificate": _certificate,
    }
    return list(await asyncio.gather(*(_try(part, work, settings) for part, work in tried.items())))


async def examine_sources() -> list[Finding]:
    """Ask those who keep proofs for us, as far as this environment names any."""
    settings = read(SourceSettings)
    if isinstance(settings, list):  # told among the settings of those who need them
        return []
    tried = [
        _try("issuer of tokens", partial(_issuer, settings.oidc_terms(name)), settings)
        for name in settings.oidc_issuers
    ]
    tried += [_try("LDAP", partial(_ldap, plan), settings) for plan in settings.ldap_plans]
    return list(await asyncio.gather(*tried))


async def _try(part: str, work: Callable[[S], Awaitable[str]], settings: S) -> Finding:
    try:
        async with asyncio.timeout(TRY_SECONDS):
            return Finding(part=part, fine=True, text=await work(settings))
    except _TROUBLE as trouble:
        return Finding(part=part, fine=False, text=str(trouble) or "no answer in time")


async def _database(settings: CommonSettings) -> str:
    async with open_pool(settings.database_url.get_secret_value(), connections=1) as pool:
        return f"PostgreSQL {await pool.fetchval('show server_version')} answers"


async def _schema(settings: CommonSettings) -> str:
    async with open_pool(settings.database_url.get_secret_value(), connections=1) as pool:
        if not await schema_is_current(pool):
            raise ValueError("some migrations are not applied; run `posthouse migrate`")
    return "all migrations are applied"


async def _broker(settings: CommonSettings) -> str:
    findings = await check(settings.broker_url.get_secret_value())
    if findings:
        raise ValueError("; ".join(map(str, findings)))
    return "every road is there as planned"


async def _store(settings: CommonSettings) -> str:
    key, octets = f"check/{secrets.token_hex(8)}", secrets.token_bytes(64)
    keys = (_secret(settings.store_access_key), _secret(settings.store_secret_key))
    async with open_blobs(settings.store, *keys) as blobs:
        await blobs.put(key, octets)
        try:
            came_back = await blobs.get(key)
        finally:
            await blobs.delete([key])
    if came_back != octets:
        raise ValueError("an object came back different from what was stored")
    return "an object was stored, read and removed"


async def _issuer(terms: Terms, settings: SourceSettings) -> str:
    async with Issuer(terms, _Nobody(), trust=settings.oidc_trust) as issuer:
        keys = await issuer.examine()
    if not keys:
        raise ValueError(f"{terms.issuer} publishes no key that is fit for signatures")
    return f"{terms.issuer} publishes {keys} fit for signatures"


async def _ldap(plan: Plan, _: SourceSettings) -> str:
    async with Directory(plan, _Nobody()) as ldap:
        await ldap.examine()
    return f"{plan.name} answers"


class _Nobody:
    """Has no accounts: nobody logs in to an examination."""

    async def judge(self, attempt: Attempt, channel: Channel) -> None:
        """Leave every attempt to others."""


def _secret(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value else None


async def _certificate(settings: CommonSettings) -> str:
    if settings.tls_certificate is None or settings.tls_key is None:
        return "none is set: TLS is not offered"
    return await asyncio.to_thread(
        judge_certificate, settings.tls_certificate, settings.tls_key, datetime.now(UTC)
    )


def judge_certificate(certificate: Path, key: Path, now: datetime) -> str:
    """Return until when a certificate is good; `ValueError` if it is not, or will soon not be."""
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    leaf = x509.load_pem_x509_certificate(certificate.read_bytes())
    end = leaf.not_valid_after_utc
    if now < leaf.not_valid_before_utc:
        raise ValueError(f"not valid before {leaf.not_valid_before_utc:%Y-%m-%d}")
    if now >= end:
        raise ValueError(f"ended on {end:%Y-%m-%d}")
    if end - now < RENEW_BEFORE:
        raise ValueError(f"ends on {end:%Y-%m-%d}: renew it")
    return f"good until {end:%Y-%m-%d}"
