"""What an operator says of TLS with servers outside."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import model_validator

from delivery_remote.security.contexts import Contexts
from posthouse.runtime.settings import PREFIX, CommonSettings
from posthouse.runtime.tls_context import Pair


class SecuritySettings(CommonSettings):
    """TLS with servers outside; what is demanded of single ones is no setting.

    Attributes:
        mta_sts: Policies that domains publish by HTTPS are asked for and kept (RFC 8461).
        relay_authorities: Roots in PEM that certificates of smarthosts with a login must lead to,
            those of the system if not set; for all others they count beside those of the system.
        relay_certificate: Our certificate's chain in PEM, shown where a TLS policy says so.
        relay_key: Its key.
    """

    mta_sts: bool = True
    relay_authorities: Path | None = None
    relay_certificate: Path | None = None
    relay_key: Path | None = None

    @model_validator(mode="after")
    def _key_and_certificate(self) -> Self:
        if (self.relay_certificate is None) != (self.relay_key is None):
            raise ValueError(
                f"{PREFIX}RELAY_CERTIFICATE: goes with {PREFIX}RELAY_KEY, both or none"
            )
        try:
            if self.relay_authorities is not None or self.relay_certificate is not None:
                self.contexts.prepare()
        except OSError as error:  # ssl.SSLError is an OSError
            raise ValueError(
                f"{PREFIX}RELAY_AUTHORITIES, {PREFIX}RELAY_CERTIFICATE, {PREFIX}RELAY_KEY: a file "
                f"cannot be read, or is not what it should be ({error})"
            ) from error
        return self

    @property
    def contexts(self) -> Contexts:
        """How we shake hands."""
        pair = None
        if self.relay_certificate is not None and self.relay_key is not None:
            pair = Pair(self.relay_certificate, self.relay_key)
        return Contexts(self.relay_authorities, pair)
