"""Sealing (RFC 8617 §5.1): what we found out goes on with a message that leaves again."""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime

from posthouse.authenticity.arc.chain import MAX_SETS, Chain
from posthouse.authenticity.arc.validating import Arc, sealed_octets
from posthouse.authenticity.dkim.bodies import Digest
from posthouse.authenticity.dkim.headers import Header, signed_octets
from posthouse.authenticity.dkim.signing import Signer, folded_names, names_to_cover, signed_field


def seal(
    header: Header,
    digest: Digest,
    signer: Signer,
    found: tuple[Chain, Arc],
    results: str,
    now: datetime,
) -> bytes:
    """Return a set for a message, to stand on top of it; empty where none is to be added.

    Args:
        header: The message's, with our DKIM signatures if it has any.
        digest: The body's, in its simple form.
        signer: The sealer; RSA, which all can read.
        found: The chain so far, and what it is worth.
        results: Our findings, as in Authentication-Results: the authserv-id first.
        now: For t=.
    """
    chain, arc = found
    if chain.is_over or chain.highest >= MAX_SETS:
        return b""  # §5.1 (2): it is broken, and stays so
    if arc.is_doubtful:
        return b""  # cv=fail would end for good what others may still find whole
    n, time = chain.highest + 1, int(now.timestamp())
    who = f"d={signer.domain}; s={signer.selector}; t={time};"
    own = f"ARC-Authentication-Results: i={n}; {results}\r\n".encode()
    message = _message_signature(header, digest, signer, f"i={n}", who)
    before = chain.sets if arc.result == "pass" else ()  # §5.1.2: a broken chain is not sealed
    top = signed_field(
        "ARC-Seal",
        signer,
        (f"i={n}; a={signer.algorithm}; cv={arc.result};", who),
        lambda field: sealed_octets(before, own, message, field),
    )
    return top + message + own


def _message_signature(header: Header, digest: Digest, signer: Signer, i: str, who: str) -> bytes:
    """Return the ARC-Message-Signature of set ``i``: of the message, DKIM signatures included (§4.1.2)."""
    signatures = len(header.all(b"dkim-signature"))
    names = [*names_to_cover(header), *["dkim-signature"] * signatures]
    tags = (
        f"{i}; a={signer.algorithm}; c=relaxed/simple;",
        who,
        *folded_names(names),
        f"bh={b64encode(digest.octets).decode()};",
    )
    return signed_field(
        "ARC-Message-Signature",
        signer,
        tags,
        lambda field: signed_octets(header, field, names, "relaxed"),
    )
