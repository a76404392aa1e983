"""What an operator says of proofs that others keep: OpenID Connect issuers, LDAP directories."""

from __future__ import annotations

import ssl
from datetime import timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from posthouse.credentials.oidc import is_safe
from posthouse.credentials.tokens import Terms
from posthouse.runtime.ldap_settings import Authorities, LdapSettings
from posthouse.runtime.settings import PREFIX, CommonSettings
from posthouse.runtime.tls import client_context


def _issuers(text: str) -> str:
    if not all(map(is_safe, text.split())):
        raise ValueError("must look like https://id.example.org/realm, the issuer of the tokens")
    return text


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


class SourceSettings(OidcSettings, LdapSettings):
    """Both."""
