"""A DKIM-Signature field read (RFC 6376 §3.5)."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from posthouse.authenticity.dkim.bodies import Canon
from posthouse.authenticity.dkim.headers import Header
from posthouse.authenticity.tags import BadTags, parse_tags, solid, words
from posthouse.mail import idn

MAX_SIGNATURES = 10  # of one message are looked at (§6.1); of more, the last ones are not
_ALGORITHMS = frozenset({"rsa-sha256", "rsa-sha1", "ed25519-sha256"})
_CANONS = frozenset({"simple", "relaxed"})
_MAX_DIGITS = 12  # of a time (§3.5)


class BadSignature(ValueError):
    """The field is no signature: permerror."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What a field says.

    Attributes:
        field: As it stands.
        algorithm: ``rsa-sha256``, ``rsa-sha1`` or ``ed25519-sha256``.
        domain: d=, lower case.
        selector: s=.
        identity: i=, or ``@`` the domain.
        header_canon: The form of the header.
        body_canon: The form of the body.
        names: h=, the fields it covers, lower case.
        body_hash: bh=.
        octets: b=.
        length: l=; None covers the whole body.
        signed_at: t=.
        expires_at: x=.
    """

    field: bytes
    algorithm: str
    domain: str
    selector: str
    identity: str
    header_canon: Canon
    body_canon: Canon
    names: tuple[str, ...]
    body_hash: bytes
    octets: bytes
    length: int | None = None
    signed_at: datetime | None = None
    expires_at: datetime | None = None

    @property
    def key_name(self) -> str:
        """Where the key is published (§3.6.2.1)."""
        return f"{self.selector}._domainkey.{self.domain}"


@dataclass(frozen=True, slots=True)
class Broken:
    """A field that is no signature.

    Attributes:
        field: As it stands.
        why: What is wrong.
        tags: What could be read.
    """

    field: bytes
    why: str
    tags: Mapping[str, str]


def signatures_in(header: Header) -> tuple[Signature | Broken, ...]:
    """Return the signatures of a message, at most `MAX_SIGNATURES`, the uppermost first."""
    return tuple(read(field) for field in header.all(b"dkim-signature")[:MAX_SIGNATURES])


def read(field: bytes) -> Signature | Broken:
    """Return what a DKIM-Signature field says."""
    tags: dict[str, str] = {}
    try:
        tags = parse_tags(field.partition(b":")[2].decode("utf-8", "strict"))
        if tags.get("v") != "1":
            raise BadSignature("v= is not 1")
        return _signature(field, tags)
    except (BadTags, BadSignature, UnicodeDecodeError) as wrong:
        return Broken(field, str(wrong), tags)


def read_message_signature(field: bytes) -> Signature:
    """Return what an ARC-Message-Signature says (RFC 8617 §4.1.2); raise `BadSignature`, `BadTags`.

    It has no v=, and i= is the number of its set.
    """
    tags = parse_tags(field.partition(b":")[2].decode("utf-8", "strict"))
    return _signature(field, {name: tags[name] for name in tags if name != "i"})


def _signature(field: bytes, tags: Mapping[str, str]) -> Signature:
    missing = [name for name in ("a", "b", "bh", "d", "h", "s") if not tags.get(name)]
    if missing:
        raise BadSignature(f"without {missing[0]}=")
    header_canon, body_canon = canons(tags.get("c", "simple/simple"))
    domain, identity = a_labels(tags["d"]), tags.get("i", "")
    names = tuple(name.lower() for name in words(tags["h"]))
    if "from" not in names:
        raise BadSignature("From is not covered")  # §5.4
    if "dns/txt" not in words(tags.get("q", "dns/txt")):
        raise BadSignature("key asked for in a way nobody knows")
    host = a_labels(identity.rpartition("@")[2])
    if identity and host != domain and not host.endswith("." + domain):
        raise BadSignature("i= is not within d=")  # §6.1.1
    signed_at, expires_at = moment(tags.get("t")), moment(tags.get("x"))
    if signed_at and expires_at and expires_at < signed_at:
        raise BadSignature("x= is before t=")
    return Signature(
        field=field,
        algorithm=algorithm(tags["a"]),
        domain=domain,
        selector=a_labels(tags["s"]),
        identity=identity or f"@{domain}",
        header_canon=header_canon,
        body_canon=body_canon,
        names=names,
        body_hash=base64(tags["bh"]),
        octets=base64(tags["b"]),
        length=_length(tags.get("l")),
        signed_at=signed_at,
        expires_at=expires_at,
    )


def algorithm(text: str) -> str:
    """Return a= if it is one that we know; raise `BadSignature`."""
    name = text.lower()
    if name not in _ALGORITHMS:
        raise BadSignature(f"algorithm {text[:40]}")
    return name


def canons(text: str) -> tuple[Canon, Canon]:
    """Return the forms of header and body that c= names; raise `BadSignature`."""
    header, slash, body = text.lower().partition("/")
    if header not in _CANONS or (slash and body not in _CANONS):
        raise BadSignature(f"canonicalization {text[:40]}")
    return cast("Canon", header), cast("Canon", body or "simple")


def base64(text: str) -> bytes:
    """Return the octets of a base64 value, which may be folded; raise `BadSignature`."""
    try:
        return b64decode(solid(text), validate=True)
    except (binascii.Error, ValueError) as wrong:
        raise BadSignature("bad base64") from wrong


def moment(text: str | None) -> datetime | None:
    """Return the time of t= or x=; raise `BadSignature`."""
    if text is None:
        return None
    if not text.isascii() or not text.isdigit():
        raise BadSignature(f"not a time: {text[:40]}")
    if len(text) > _MAX_DIGITS or int(text) > datetime.max.replace(tzinfo=UTC).timestamp():
        return datetime.max.replace(tzinfo=UTC)  # §3.5: infinitely far
    return datetime.fromtimestamp(int(text), UTC)


def a_labels(domain: str) -> str:
    """Return ``domain`` in lower case, as DNS knows it (RFC 8616 §4); raise `BadSignature`."""
    name = idn.a_labels(domain.lower())
    if not name.isascii():
        raise BadSignature(f"not a domain: {domain[:40]}")
    return name


def _length(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 76:  # noqa: PLR2004 - §3.5
        raise BadSignature(f"not a length: {text[:40]}")
    return int(text)
