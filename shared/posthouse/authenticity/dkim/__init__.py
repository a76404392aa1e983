"""DKIM (RFC 6376, RFC 8301, RFC 8463): who signed a message, and our own signatures."""

from posthouse.authenticity.dkim.bodies import BodyHash, digest_bodies
from posthouse.authenticity.dkim.signature import Signature, signatures_in
from posthouse.authenticity.dkim.signing import Signer, sign
from posthouse.authenticity.dkim.verifying import Dkim, DkimResult, verify

__all__ = [
    "BodyHash",
    "Dkim",
    "DkimResult",
    "Signature",
    "Signer",
    "digest_bodies",
    "sign",
    "signatures_in",
    "verify",
]
