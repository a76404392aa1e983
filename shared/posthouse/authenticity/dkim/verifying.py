"""Verifying (RFC 6376 §6): which domains have signed a message, and whether that still holds.

SHA-1 and RSA keys below 1024 bits are ``permerror`` (RFC 8301 §3); a signature that leaves a part of
the body uncovered (``l=``) is ``policy``: not trusted, though it verifies (RFC 8601 §2.7.1). Nobody
who could tell the key is ``temperror``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Literal, TypeAlias

from posthouse.authenticity.dkim.bodies import Canon, Digest
from posthouse.authenticity.dkim.headers import Header, signed_octets
from posthouse.authenticity.dkim.keys import MAIL, BadKey, Key, parse_key
from posthouse.authenticity.dkim.signature import Broken, Signature
from posthouse.authenticity.names import Names
from posthouse.mail.answers import Found, Temporary

DkimResult: TypeAlias = Literal[
    "none", "pass", "fail", "policy", "neutral", "temperror", "permerror"
]  # RFC 8601 §2.7.1

TESTING = "only a test (t=y)"
B_CHARACTERS = 8  # of b= tell signatures apart (RFC 6008 §4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dkim:
    """What was found of one signature.

    Attributes:
        result: See RFC 8601 §2.7.1.
        domain: d=.
        selector: s=.
        identity: i=.
        algorithm: a=.
        b: The beginning of b=, which tells it from others.
        why: What is wrong, or what is to be known.
        is_testing: The domain is only trying it out: a failure is as if nobody had signed (RFC 6376
            §3.6.1); what verifies counts, as it does elsewhere: many leave t=y for ever.
    """

    result: DkimResult
    domain: str = ""
    selector: str = ""
    identity: str = ""
    algorithm: str = ""
    b: str = ""
    why: str = ""
    is_testing: bool = False


async def verify(
    names: Names,
    header: Header,
    found: Sequence[Signature | Broken],
    digests: Mapping[Canon, Digest],
    services: frozenset[str] = MAIL,
) -> tuple[Dkim, ...]:
    """Return what becomes of each signature ``found``.

    Args:
        names: DNS.
        header: The message's.
        found: By `signatures_in`.
        digests: The body's, in each form that ``found`` names.
        services: What keys may be for.
    """
    return tuple([await _verified(names, header, each, digests, services) for each in found])


async def _verified(
    names: Names,
    header: Header,
    signature: Signature | Broken,
    digests: Mapping[Canon, Digest],
    services: frozenset[str],
) -> Dkim:
    if isinstance(signature, Broken):
        tags = signature.tags
        return Dkim(
            result="permerror",
            domain=tags.get("d", ""),
            selector=tags.get("s", ""),
            identity=tags.get("i", ""),
            algorithm=tags.get("a", ""),
            b=tags.get("b", "")[:B_CHARACTERS],
            why=signature.why,
        )
    answer = await names.txt(signature.key_name)
    if isinstance(answer, Temporary):
        return _result("temperror", signature, answer.why)
    if not isinstance(answer, Found):
        return _result("permerror", signature, "no key")
    try:
        key = parse_key(answer.records[0], services)
    except BadKey as wrong:
        return _result("permerror", signature, str(wrong))
    return judge(signature, key, header, digests[signature.body_canon], datetime.now(UTC))


def judge(signature: Signature, key: Key, header: Header, digest: Digest, now: datetime) -> Dkim:
    """Return what becomes of ``signature`` by ``key``."""
    objection = _objection(signature, key, digest)
    if objection is not None:
        return _result(objection[0], signature, objection[1])
    return _by_octets(signature, key, header, digest, now)


def _objection(signature: Signature, key: Key, digest: Digest) -> tuple[DkimResult, str] | None:
    """Return why ``signature`` counts for nothing, whatever it is worth."""
    host, length = signature.identity.rpartition("@")[2].lower(), signature.length
    objections: tuple[tuple[bool, DkimResult, str], ...] = (
        (not signature.algorithm.startswith(key.kind), "permerror", f"the key is for {key.kind}"),
        (key.is_strict and host != signature.domain, "permerror", "i= is not the key's domain"),
        (not signature.algorithm.endswith("sha256"), "permerror", "SHA-1 proves nothing"),
        (key.bits < key.least_bits, "permerror", f"a key of {key.bits} bits proves nothing"),
        (length is not None and length < digest.size, "policy", "not all of the body is covered"),
        (length is not None and length > digest.size, "permerror", "the body is shorter than l="),
    )
    return next(((result, why) for applies, result, why in objections if applies), None)


def _by_octets(
    signature: Signature, key: Key, header: Header, digest: Digest, now: datetime
) -> Dkim:
    if signature.body_hash != digest.octets:
        return _result("fail", signature, "the body was changed", is_testing=key.is_testing)
    octets = signed_octets(header, signature.field, signature.names, signature.header_canon)
    if not key.is_signed(sha256(octets).digest(), signature.octets):
        return _result("fail", signature, "the header was changed", is_testing=key.is_testing)
    if signature.expires_at is not None and signature.expires_at < now:
        return _result("fail", signature, "expired", is_testing=key.is_testing)
    return _result("pass", signature, is_testing=key.is_testing)


def _result(
    result: DkimResult, signature: Signature, why: str = "", *, is_testing: bool = False
) -> Dkim:
    tag = signature.field.partition(b":")[2]
    if is_testing:
        why = f"{why}; {TESTING}" if why else TESTING
    return Dkim(
        result=result,
        domain=signature.domain,
        selector=signature.selector,
        identity=signature.identity,
        algorithm=signature.algorithm,
        b=_beginning(tag),
        why=why,
        is_testing=is_testing,
    )


def _beginning(value: bytes) -> str:
    for part in value.split(b";"):
        name, _, text = part.partition(b"=")
        if name.strip() == b"b":
            return b"".join(text.split())[:B_CHARACTERS].decode("ascii", "replace")
    return ""
