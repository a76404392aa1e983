"""DMARC (RFC 7489 and its successor, DMARCbis): what an author's domain wants done with forgeries."""

from posthouse.authenticity.dmarc.evaluation import Dmarc, DmarcResult, evaluate
from posthouse.authenticity.dmarc.record import Policy, Record

__all__ = ["Dmarc", "DmarcResult", "Policy", "Record", "evaluate"]
