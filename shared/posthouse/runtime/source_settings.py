"""What an operator says of proofs that others keep: OpenID Connect issuers, an LDAP directory."""

from __future__ import annotations

import ssl
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from posthouse.credentials.ldap import names
from posthouse.credentials.ldap.connection import Protection, Server
from posthouse.credentials.ldap.directory import GAPS, Plan, Search
from posthouse.credentials.ldap.filters import read
from posthouse.credentials.oidc import is_safe
from posthouse.credentials.tokens import Terms
from posthouse.runtime.settings import PREFIX, CommonSettings
from posthouse.runtime.tls import client_context

_LDAP_PORTS = {"ldap": 389, "ldaps": 636}


def _issuers(text: str) -> str:
    if not all(map(is_safe, text.split())):
        raise ValueError("must look like https://id.example.org/realm, the issuer of the tokens")
    return text


def _authorities(path: Path) -> Path:
    try:
        client_context(authorities=path)
    except OSError as error:  # ssl.SSLError is an OSError
        raise ValueError(f"the file {path} cannot be read as certificates") from error
    return path


def _server(url: str, *, plaintext: bool = False) -> Server:
    wrong = "must look like ldaps://ldap.example.org or ldap://ldap.example.org:389"
    try:
        parts = urlsplit(url)
        port = parts.port or _LDAP_PORTS[parts.scheme]
    except (ValueError, KeyError):
        raise ValueError(wrong) from None
    if parts.scheme not in _LDAP_PORTS or not parts.hostname or parts.path not in {"", "/"}:
        raise ValueError(wrong)
    protection: Protection = "none" if plaintext else "starttls"
    if parts.scheme == "ldaps":
        protection = "tls"
    return Server(host=parts.hostname, port=port, protection=protection)


def _urls(text: str) -> str:
    for url in text.split():
        _server(url)
    return text


def _name(text: str) -> str:
    return names.check(text, GAPS)


def _filter(text: str) -> str:
    read(text, GAPS)
    return text


Authorities = Annotated[Path, AfterValidator(_authorities)]


class OidcSettings(CommonSettings):
    """Tokens of OpenID Connect issuers.

    Attributes:
        oidc_issuer: Their addresses, as tokens say them in ``iss``, separated by spaces; empty: no
            tokens are taken. All that follows holds for each.
        oidc_audience: What a token must say in ``aud``: one of these, separated by spaces.
        oidc_claim: Which claim holds the account's address.
        oidc_domain: Put behind a claim, or a name that a client says, without ``@``.
        oidc_scope: What a token must be good for, separated by spaces.
        oidc_leeway_seconds: How far the issuer's clock may be from ours.
        oidc_authorities: Roots of the issuer's certificate in PEM instead of the system's.
    """

    oidc_issuer: Annotated[str, AfterValidator(_issuers)] = ""
    oidc_audience: str = ""
    oidc_claim: Annotated[str, Field(min_length=1)] = "email"
    oidc_domain: str = ""
    oidc_scope: str = ""
    oidc_leeway_seconds: Annotated[float, Field(ge=0, le=600)] = 60.0
    oidc_authorities: Authorities | None = None

    @model_validator(mode="after")
    def _tokens_are_for_us(self) -> Self:
        if self.oidc_issuers and not self.oidc_audience.split():
            raise ValueError(
                f"{PREFIX}OIDC_AUDIENCE: is missing, but {PREFIX}OIDC_ISSUER is set: tokens that "
                "people gave to others would open their mailboxes"
            )
        return self

    @property
    def oidc_issuers(self) -> tuple[str, ...]:
        """The issuers one by one; none if no tokens are taken."""
        return tuple(self.oidc_issuer.split())

    def oidc_terms(self, issuer: str) -> Terms:
        """Return what a token of ``issuer`` must say."""
        return Terms(
            issuer=issuer,
            audiences=tuple(self.oidc_audience.split()),
            claim=self.oidc_claim,
            domain=self.oidc_domain.lower(),
            scope=frozenset(self.oidc_scope.split()),
            leeway=timedelta(seconds=self.oidc_leeway_seconds),
        )

    @property
    def oidc_trust(self) -> ssl.SSLContext:
        """The authorities of the issuers' certificates."""
        return client_context(authorities=self.oidc_authorities)


class LdapSettings(CommonSettings):
    """Passwords that an LDAP directory keeps.

    Attributes:
        ldap_urls: Its servers, separated by spaces; empty: none is asked.
        ldap_plaintext: Without TLS: passwords cross the network readable.
        ldap_authorities: Roots of its certificate in PEM instead of the system's.
        ldap_bind_name: The name of somebody there, made of what was typed.
        ldap_search_base: Or: where entries are searched for,
        ldap_search_filter: which one,
        ldap_search_name: as whom; empty as nobody,
        ldap_search_password: with which password,
        ldap_search_attribute: and what in it is the account's address; empty: what was typed.
        ldap_domains: Only people of these are asked for, separated by spaces; empty for all.
        ldap_connections: At once, of one process: for searches, and as many for binds.
        ldap_seconds: How long one login may wait for it.
        ldap_remember_seconds: How long a right password is right without asking; 0 always asks.
    """

    ldap_urls: Annotated[str, AfterValidator(_urls)] = ""
    ldap_plaintext: bool = False
    ldap_authorities: Authorities | None = None
    ldap_bind_name: Annotated[str, AfterValidator(_name)] | None = None
    ldap_search_base: str | None = None
    ldap_search_filter: Annotated[str, AfterValidator(_filter)] = "(mail={address})"
    ldap_search_name: str = ""
    ldap_search_password: SecretStr | None = None
    ldap_search_attribute: str = ""
    ldap_domains: str = ""
    ldap_connections: Annotated[int, Field(ge=1, le=100)] = 4
    ldap_seconds: Annotated[float, Field(ge=0.1, le=60)] = 5.0
    ldap_remember_seconds: Annotated[float, Field(ge=0, le=3600)] = 60.0

    @model_validator(mode="after")
    def _people_can_be_found(self) -> Self:
        if self.ldap_urls and (self.ldap_bind_name is None) == (self.ldap_search_base is None):
            raise ValueError(
                f"{PREFIX}LDAP_URLS: needs one of {PREFIX}LDAP_BIND_NAME, how people are called "
                f"there, and {PREFIX}LDAP_SEARCH_BASE, where they are searched for"
            )
        if bool(self.ldap_search_name) != (self.ldap_search_password is not None):
            raise ValueError(
                f"{PREFIX}LDAP_SEARCH_NAME: goes with {PREFIX}LDAP_SEARCH_PASSWORD, both or none"
            )
        return self

    @property
    def ldap_plan(self) -> Plan | None:
        """Whom to ask and how; None if nobody is."""
        urls = self.ldap_urls.split()
        if not urls:
            return None
        return Plan(
            servers=tuple(_server(url, plaintext=self.ldap_plaintext) for url in urls),
            trust=client_context(authorities=self.ldap_authorities),
            way=self.ldap_bind_name or self._search,
            domains=frozenset(self.ldap_domains.lower().split()),
            connections=self.ldap_connections,
            patience=timedelta(seconds=self.ldap_seconds),
            remember=timedelta(seconds=self.ldap_remember_seconds),
        )

    @property
    def _search(self) -> Search:
        password = self.ldap_search_password
        return Search(
            base=self.ldap_search_base or "",
            filter=read(self.ldap_search_filter, GAPS),
            name=self.ldap_search_name,
            password=password.get_secret_value() if password else "",
            attribute=self.ldap_search_attribute,
        )


class SourceSettings(OidcSettings, LdapSettings):
    """Both."""
