"""Signing (RFC 6376 §5, RFC 8463).

The form is relaxed/simple: what servers do to a header in passing is forgiven, nothing in the body.

Fields that may stand once only are covered once more than they stand there, so that nobody adds
another one (§8.15): what a reader sees whether they are there or not, what tells how the body is to be
read where they are there. (OpenDKIM does so with From alone; rspamd with nearly the same as we.)
"""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import TypeAlias

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from posthouse.authenticity.dkim.bodies import Digest
from posthouse.authenticity.dkim.headers import Header, signed_octets

PrivateKey: TypeAlias = rsa.RSAPrivateKey | Ed25519PrivateKey

REMEMBERED = 1000  # keys: reading one takes longer than signing
LINE_CHARACTERS = 72
# Covered once more than they are there, always, and where they are there; then those below, as often
# as they are there (§5.4.1).
_ONCE = (
    "from",
    "to",
    "cc",
    "subject",
    "date",
    "message-id",
    "reply-to",
    "in-reply-to",
    "references",
)
_ONCE_IF_THERE = (
    "sender", "mime-version", "content-type", "content-transfer-encoding", "content-disposition",
)  # fmt: skip
_IF_THERE = (
    "content-id", "content-description", "list-id", "list-help", "list-unsubscribe",
    "list-unsubscribe-post", "list-subscribe", "list-post", "list-owner", "list-archive",
    "resent-from", "resent-to", "resent-cc", "resent-date", "resent-message-id", "autocrypt",
    "feedback-id", "auto-submitted", "tls-required", "tls-report-domain", "tls-report-submitter",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Who signs, with which key.

    Attributes:
        domain: d=, in A-labels.
        selector: s=, where the key is published.
        key: The private key, PEM (PKCS #8 or #1), not encrypted.
    """

    domain: str
    selector: str
    key: str

    @property
    def algorithm(self) -> str:
        """``rsa-sha256`` or ``ed25519-sha256``, by the key; raises `ValueError` for none."""
        kind = "ed25519" if isinstance(private_key(self.key), Ed25519PrivateKey) else "rsa"
        return f"{kind}-sha256"

    def __repr__(self) -> str:
        """Never shows the key."""
        return f"Signer({self.selector}._domainkey.{self.domain})"


def names_to_cover(header: Header) -> tuple[str, ...]:
    """Return h= for a message with ``header``."""
    there = Counter(name.decode("ascii", "replace") for name, _ in header.fields)
    names = (*_ONCE, *(name for name in _ONCE_IF_THERE if there[name]))
    once = [name for name in names for _ in range(there[name] + 1)]
    return (*once, *(name for name in _IF_THERE for _ in range(there[name])))


def sign(header: Header, digest: Digest, signers: Sequence[Signer], now: datetime) -> bytes:
    """Return a DKIM-Signature field for each of ``signers``.

    Args:
        header: The message's, as it leaves.
        digest: The body's, in its simple form.
        signers: Their keys; of two for one domain the RSA key last, because readers begin on top.
        now: For t=.

    Raises:
        ValueError: A key cannot be read.
    """
    names = names_to_cover(header)
    return b"".join(_signature(header, digest, signer, names, now) for signer in signers)


def _signature(
    header: Header, digest: Digest, signer: Signer, names: Sequence[str], now: datetime
) -> bytes:
    tags = (
        f"v=1; a={signer.algorithm}; c=relaxed/simple;",
        f"d={signer.domain}; s={signer.selector}; t={int(now.timestamp())};",
        *folded_names(names),
        f"bh={b64encode(digest.octets).decode()};",
    )
    return signed_field(
        "DKIM-Signature",
        signer,
        tags,
        lambda field: signed_octets(header, field, names, "relaxed"),
    )


def signed_field(
    name: str, signer: Signer, tags: Sequence[str], covered: Callable[[bytes], bytes]
) -> bytes:
    """Return a field of ``tags`` with its signature, b=.

    Args:
        name: Of the field.
        signer: Who signs.
        tags: All but b=, a line each.
        covered: Says what is signed, the field with an empty b= included.
    """
    field = (f"{name}: " + "\r\n\t".join((*tags, "b="))).encode()
    key = private_key(signer.key)
    signature = b64encode(signed(key, sha256(covered(field)).digest())).decode()
    return field + "\r\n\t ".join(_pieces(signature)).encode() + b"\r\n"


def signed(key: PrivateKey, digest: bytes) -> bytes:
    """Return the signature by ``key`` of the SHA-256 hash ``digest``."""
    if isinstance(key, Ed25519PrivateKey):
        return key.sign(digest)
    return key.sign(digest, padding.PKCS1v15(), Prehashed(SHA256()))


@lru_cache(REMEMBERED)
def private_key(pem: str) -> PrivateKey:
    """Return the key of ``pem``; raise `ValueError`."""
    key = load_pem_private_key(pem.encode(), None)
    if not isinstance(key, rsa.RSAPrivateKey | Ed25519PrivateKey):
        raise ValueError("neither an RSA nor an Ed25519 key")  # noqa: TRY004 - of the operator's
    return key


def folded_names(names: Sequence[str]) -> list[str]:
    """Return h= in lines."""
    lines = ["h="]
    for name in names:
        if len(lines[-1]) + len(name) > LINE_CHARACTERS:
            lines.append("")
        lines[-1] += name + ":"
    lines[-1] = lines[-1].removesuffix(":") + ";"
    return lines


def _pieces(text: str) -> list[str]:
    return [text[at : at + LINE_CHARACTERS] for at in range(0, len(text), LINE_CHARACTERS)]
