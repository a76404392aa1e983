"""Message ids: UUID version 7, so that an id tells its day (RFC 9562 §5.7).

The ledger is partitioned by day and objects are filed by day; both are read off the id, so one
id is enough to find everything about a message.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, date, datetime
from uuid import UUID

JUDGING = "judging"  # the folder of messages that are judged: none of them is accepted yet
UNJUDGED = "unjudged"  # the folder of messages that were accepted as they came
_RANDOM_OCTETS = 10


def new_id(now_ms: int | None = None) -> UUID:
    """Return a fresh id for a message accepted at ``now_ms`` (Unix milliseconds)."""
    millis = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    value = (millis << 80) | int.from_bytes(os.urandom(_RANDOM_OCTETS), "big")
    value = (value & ~(0xF << 76)) | (7 << 76)  # version
    return UUID(int=(value & ~(0b11 << 62)) | (0b10 << 62))  # variant


def moment_of(ident: UUID) -> datetime:
    """Return when ``ident`` was made (UTC, to the millisecond)."""
    return datetime.fromtimestamp((ident.int >> 80) / 1000, UTC)


def day_of(ident: UUID) -> date:
    """Return the UTC day of ``ident``: its ledger partition."""
    return moment_of(ident).date()


def object_key(ident: UUID) -> str:
    """Return the key of the message's object: ``mail/<yyyy>/<mm>/<dd>/<id>.eml``."""
    return _filed("mail", ident)


def unjudged_key(ident: UUID) -> str:
    """Return the key of a message that was accepted and that nobody has judged: as it came."""
    return _filed(UNJUDGED, ident)


def judging_key(ident: UUID) -> str:
    """Return the key under which a message that is not accepted yet can be read."""
    return f"{JUDGING}/{ident}.eml"


def _filed(folder: str, ident: UUID) -> str:
    day = day_of(ident)  # strftime would cost ten times as much, and this is asked for each mail
    return f"{folder}/{day.year:04}/{day.month:02}/{day.day:02}/{ident}.eml"
