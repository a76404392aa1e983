"""What operators demand of TLS with servers outside, by domain."""

from __future__ import annotations

import re

from posthouse.mail.address import is_domain
from posthouse.mail.patterns import pattern_key
from posthouse.mail.tls_words import TlsPolicy
from posthouse.storage.directory.errors import DirectoryError, NoSuchEntry
from posthouse.storage.pool import Queries, Row

MAX_NAMES = 100
MAX_PINS = 20

_PIN = re.compile(r"[0-9a-f]{64}")

_SET = """
    insert into tls_policies (domain, level, names, pins, certificate) values ($1, $2, $3, $4, $5)
        on conflict (domain) do update
       set level = excluded.level, names = excluded.names, pins = excluded.pins,
           certificate = excluded.certificate
"""
_REMOVE = "delete from tls_policies where domain = $1"
_ALL = "select domain, level, names, pins, certificate from tls_policies order by domain"


async def set_tls_policy(queries: Queries, policy: TlsPolicy) -> None:
    """Set or replace the policy of a domain, or of all that fit a pattern.

    Raises `BadAddress` if it is neither, `DirectoryError` if it says what cannot be.
    """
    domain = pattern_key(policy.domain)
    names, pins = _names(policy.names), _pins(policy.pins)
    if bool(pins) != (policy.level == "fingerprint"):
        raise DirectoryError("fingerprints go with the policy fingerprint, and it needs one")
    await queries.execute(_SET, domain, policy.level, names, pins, policy.certificate)


async def remove_tls_policy(queries: Queries, domain: str) -> None:
    """Remove the policy of ``domain``; raise `NoSuchEntry`."""
    if not await queries.execute(_REMOVE, domain.lower()):
        raise NoSuchEntry(f"no TLS policy is set for {domain}")


async def tls_policies(queries: Queries) -> tuple[TlsPolicy, ...]:
    """Return all policies; they are few and set by hand."""
    return tuple(map(_policy, await queries.fetch(_ALL)))


def _policy(row: Row) -> TlsPolicy:
    return TlsPolicy(
        domain=row["domain"],
        level=row["level"],
        names=tuple(row["names"]),
        pins=tuple(row["pins"]),
        certificate=row["certificate"],
    )


def _names(texts: tuple[str, ...]) -> list[str]:
    names = [text.lower().removesuffix(".") for text in texts]
    for name in names:
        if not is_domain(name.removeprefix("*.")):
            raise DirectoryError(f"not the name of a server: {name}")
    if len(names) > MAX_NAMES:
        raise DirectoryError(f"more than {MAX_NAMES} names")
    return list(dict.fromkeys(names))


def _pins(texts: tuple[str, ...]) -> list[str]:
    """Return fingerprints in one form; colons, capitals and ``sha256:`` in front are fine."""
    pins = [text.lower().removeprefix("sha256:").replace(":", "") for text in texts]
    for pin, text in zip(pins, texts, strict=True):
        if not _PIN.fullmatch(pin):
            raise DirectoryError(f"not a SHA-256 fingerprint of 64 hexadecimal digits: {text}")
    if len(pins) > MAX_PINS:
        raise DirectoryError(f"more than {MAX_PINS} fingerprints")
    return list(dict.fromkeys(pins))
