"""Who may come in: the settings on credentials, and the parts that judge, put together.

One room for SMTP, IMAP and POP3: what one of them takes for a proof, the others take.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Self

from pydantic import AfterValidator, model_validator

from posthouse.credentials.authenticator import Authenticator, Link
from posthouse.credentials.bearer import Hint, oauthbearer, xoauth2
from posthouse.credentials.checking import Checker
from posthouse.credentials.exchange import Mechanism
from posthouse.credentials.issuers import Issuers
from posthouse.credentials.ldap.directory import Directory
from posthouse.credentials.local import LocalAccounts
from posthouse.credentials.mechanisms import LOGIN, PLAIN, External, cram_md5, external
from posthouse.credentials.oidc import Issuer, configuration_of
from posthouse.credentials.passwords import Secrets, Wanted, wanted_for
from posthouse.credentials.scram import scram
from posthouse.runtime.doors import DoorSettings
from posthouse.runtime.login_tally import LoginTally
from posthouse.runtime.settings import PREFIX, CommonSettings
from posthouse.runtime.source_settings import SourceSettings
from posthouse.storage import directory
from posthouse.storage.directory import Credential, Keys
from posthouse.storage.keyring import shared_secret
from posthouse.storage.pool import Pool

DECOYS = "scram decoys"  # the secret behind what an unknown user is told
_SCRAM, _SCRAM_PLUS = "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"
_DEFAULT = f"{_SCRAM_PLUS} {_SCRAM} EXTERNAL OAUTHBEARER XOAUTH2 PLAIN LOGIN"

_KNOWN = (*_DEFAULT.split(), "CRAM-MD5")


def _mechanisms(text: str) -> str:
    names = text.upper().split()
    unknown = [name for name in names if name not in _KNOWN]
    if unknown:
        raise ValueError(f"does not know {unknown[0]}; there are {' '.join(_KNOWN)}")
    if not names or len(set(names)) != len(names):
        raise ValueError("must name each mechanism once, and one at least")
    return " ".join(names)


class KeySettings(CommonSettings):
    """The settings of whoever stores passwords.

    Attributes:
        sasl_mechanisms: What is offered, the best first; keys are kept for these and no others.
    """

    sasl_mechanisms: Annotated[str, AfterValidator(_mechanisms)] = _DEFAULT

    @property
    def wanted(self) -> Wanted:
        """Which keys are kept."""
        return wanted_for(self.sasl_mechanisms.split())


class LoginSettings(KeySettings, DoorSettings, SourceSettings):
    """The settings of a service that lets people in.

    Attributes:
        sasl_external: What of a client's certificate stands for the account.
    """

    sasl_external: External = "off"

    @model_validator(mode="after")
    def _external_needs_authorities(self) -> Self:
        if self.sasl_external != "off" and self.tls_client_authorities is None:
            raise ValueError(
                f"{PREFIX}TLS_CLIENT_AUTHORITIES: is missing, but {PREFIX}SASL_EXTERNAL is set: "
                "nobody would be asked for a certificate"
            )
        return self

    @model_validator(mode="after")
    def _ldap_has_no_keys(self) -> Self:
        """Clients that see SCRAM take it, and many try nothing else when it fails."""
        if self.ldap_is_asked and "sasl_mechanisms" not in self.model_fields_set:
            name = "LDAP_URLS" if self.ldap_urls else "LDAP_FILE"
            raise ValueError(
                f"{PREFIX}SASL_MECHANISMS: is missing, but {PREFIX}{name} is set: people whose "
                "passwords LDAP keeps can only use PLAIN LOGIN; name others for those who cannot"
            )
        return self


@asynccontextmanager
async def open_authenticator(settings: LoginSettings, pool: Pool) -> AsyncIterator[Authenticator]:
    """Put together what tells who somebody is."""
    async with AsyncExitStack() as stack:
        checker = await stack.enter_async_context(Checker())
        local = LocalAccounts(StoredAccounts(pool), checker, wanted=settings.wanted)
        links = [*await _elsewhere(settings, local, stack), local]
        tally = LoginTally(pool)
        await stack.enter_async_context(tally.counting)
        yield Authenticator(mechanisms=mechanisms(settings), links=links, witness=tally)


async def _elsewhere(settings: LoginSettings, accounts: Link, stack: AsyncExitStack) -> list[Link]:
    """Open those who judge for us, and are asked before our accounts are."""
    links: list[Link] = [
        await stack.enter_async_context(Directory(plan, accounts)) for plan in settings.ldap_plans
    ]
    issuers: dict[str, Link] = {}
    for name in settings.oidc_issuers:
        issuer = Issuer(settings.oidc_terms(name), accounts, trust=settings.oidc_trust)
        issuers[name] = await stack.enter_async_context(issuer)
    if issuers:
        links.append(Issuers(issuers))
    return links


def mechanisms(settings: LoginSettings) -> tuple[Mechanism, ...]:
    """Return the mechanisms that the operator wants."""
    names = settings.sasl_mechanisms.split()
    plus_is_wanted = _SCRAM_PLUS in names
    makers: dict[str, Callable[[], Mechanism]] = {
        _SCRAM_PLUS: partial(scram, plus=True, plus_is_wanted=plus_is_wanted),
        _SCRAM: partial(scram, plus=False, plus_is_wanted=plus_is_wanted),
        "EXTERNAL": partial(external, settings.sasl_external),
        "PLAIN": lambda: PLAIN,
        "LOGIN": lambda: LOGIN,
        "CRAM-MD5": partial(cram_md5, settings.hostname),
    }
    if settings.oidc_issuers:
        hint = Hint(configuration_of(settings.oidc_issuers[0]), settings.oidc_scope)
        makers |= {"OAUTHBEARER": partial(oauthbearer, hint), "XOAUTH2": partial(xoauth2, hint)}
    return tuple(makers[name]() for name in names if name in makers)


@dataclass(frozen=True, slots=True)
class StoredAccounts:
    """The directory, as `posthouse.credentials.local` needs it."""

    pool: Pool

    async def credential(self, address: str) -> Credential | None:
        """Return what is stored of an account."""
        return await directory.credentials(self.pool, address)

    async def renew(self, account_id: int, old_hash: str, made: Secrets) -> bool:
        """Store hash and keys of the same password."""
        return await directory.renew_hash(
            self.pool, account_id, old_hash, made.password_hash, keys_of(made)
        )

    async def secret(self) -> bytes:
        """Return what decoys are made of."""
        return await shared_secret(self.pool, DECOYS)

    async def note_use(self, app_password: int, service: str, client: str) -> None:
        """Write down that an app password was used now."""
        await directory.note_use(self.pool, app_password, service, client)

    async def owner(self, fingerprint: str) -> str:
        """Return whom a certificate stands for."""
        return await directory.owner_of(self.pool, fingerprint)


def keys_of(made: Secrets) -> Keys:
    """Return what stands beside the hash."""
    return Keys(scram_sha_256=made.scram_sha_256, cram_md5=made.cram_md5)
