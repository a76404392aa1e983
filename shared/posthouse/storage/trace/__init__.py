"""The trace: what became of a message, for the one who asks.

Most of it stands in the ledger; services add notes of what its rows do not tell.
"""

from posthouse.storage.trace.finding import FoundMail, find
from posthouse.storage.trace.notes import Trace
from posthouse.storage.trace.timeline import (
    Event,
    Timeline,
    TracedEnvelope,
    TracedRecipient,
    timeline,
)

__all__ = [
    "Event",
    "FoundMail",
    "Timeline",
    "Trace",
    "TracedEnvelope",
    "TracedRecipient",
    "find",
    "timeline",
]
