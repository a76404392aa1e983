"""Signing: mail of this house gets signatures of its author's domain (RFC 6376), strangers' none.

The domain of From signs, else that of the account; a domain without keys is signed for by the one
above it that has some. Mail of neither goes unsigned.
"""

from __future__ import annotations

from datetime import UTC, datetime

from policy_engine.content.case import Case
from policy_engine.content.key_watch import KeyWatch
from posthouse.authenticity.dkim import sign
from posthouse.authenticity.dkim.bodies import Digest
from posthouse.authenticity.dkim.headers import Header
from posthouse.authenticity.dkim.signature import BadSignature, a_labels
from posthouse.runtime.dkim_keys import SigningKeys, body_digest
from posthouse.telemetry.metrics import counter

_SIGNED = counter("posthouse_policy_dkim_signed_total", "Mail of ours, by who signed.", "by")


class Signing:
    """Puts DKIM-Signature fields on mail of this house."""

    of_strangers = False

    def __init__(self, keys: SigningKeys, watch: KeyWatch) -> None:
        self._keys = keys
        self._watch = watch

    @property
    def of_ours(self) -> bool:
        """True if anybody signs at all."""
        return self._watch.does_anybody_sign

    async def __call__(self, case: Case, header: bytes) -> bytes:
        """Return the signatures of ``header``; empty if nobody signs. Raises `Unavailable`."""
        signers = await self._keys.signers(domains_of(case))
        if not signers:
            _SIGNED.labels("nobody").inc()
            return b""
        _SIGNED.labels("author" if is_authors(case, signers[0].domain) else "account").inc()
        return sign(Header(header), await digest_of(case), signers, datetime.now(UTC))


def domains_of(case: Case) -> list[str]:
    """Return who may sign ``case``: the author's domain, then the account's; in A-labels."""
    found = [*case.author_domains[:1], case.auth.rpartition("@")[2]]
    return [name for domain in found if (name := _ascii(domain))]


def is_authors(case: Case, domain: str) -> bool:
    """True if ``domain`` is the author's, or above it."""
    author = _ascii(case.author_domains[0]) if case.author_domains else ""
    return author == domain or author.endswith(f".{domain}")


async def digest_of(case: Case) -> Digest:
    """Return the hash of the whole body in its simple form."""
    return await body_digest(case.body) if case.is_whole else case.digests["simple"]


def _ascii(domain: str) -> str:
    try:
        return a_labels(domain)
    except BadSignature:
        return ""
