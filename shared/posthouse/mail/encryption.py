"""What a TLS handshake agreed on, as the protocols and the trace need it: values, no sockets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A client's certificate; it was verified, or there would be none of this.

    Attributes:
        subject: Its distinguished name (RFC 4514), ``CN=anna,O=Example``.
        common_name: The CN of the subject, empty if it has none.
        emails: Its mail addresses: the rfc822Name of subjectAltName (RFC 5280 §4.2.1.6).
        fingerprint: SHA-256 of the certificate, in hexadecimal digits.
    """

    subject: str
    common_name: str
    emails: tuple[str, ...]
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Tls:
    """What was agreed on: ``TLSv1.3``, ``TLS_AES_256_GCM_SHA384``.

    Attributes:
        version: Of the protocol.
        cipher: The suite.
        peer: The client's certificate; None if it showed none.
        channel_bindings: By type (RFC 5056): always ``tls-server-end-point`` (RFC 5929 §4) when
            the certificate is one of ours, ``tls-unique`` (§3) under TLS 1.2, ``tls-exporter``
            (RFC 9266) under TLS 1.3. Not compared and never printed.
    """

    version: str
    cipher: str
    peer: Peer | None = None
    channel_bindings: Mapping[str, bytes] = field(default_factory=dict, repr=False, compare=False)

    @property
    def subject(self) -> str:
        """The verified client certificate's subject (RFC 4514), empty if it showed none."""
        return self.peer.subject if self.peer else ""

    def __str__(self) -> str:
        return f"{self.version} {self.cipher}"
