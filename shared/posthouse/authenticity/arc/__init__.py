"""ARC (RFC 8617): what servers on the way found out, each result sealed by its finder."""

from posthouse.authenticity.arc.chain import Chain, read_chain
from posthouse.authenticity.arc.sealing import seal
from posthouse.authenticity.arc.validating import Arc, ArcResult, doubtful, validate

__all__ = ["Arc", "ArcResult", "Chain", "doubtful", "read_chain", "seal", "validate"]
