"""Obituaries: why a message lies in the dead letters, in headers that travel with it.

The fingerprint groups equal failures: it is the same for the same fault, whatever the message,
the host or the minute, so that an operator sees ten causes and not ten thousand letters.
"""

from __future__ import annotations

import hashlib
import re
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath

from posthouse.mail.errors import MailFailure

FAILURES = "posthouse-failures"
FIRST_FAILED = "posthouse-first-failed"
LAST_FAILED = "posthouse-last-failed"
REASON = "posthouse-reason"
EXCEPTION = "posthouse-exception"
FINGERPRINT = "posthouse-fingerprint"
SERVICE = "posthouse-service"
ROAD = "posthouse-road"

MAX_REASON_CHARACTERS = 1000  # a header is no place for a traceback
_FINGERPRINT_CHARACTERS = 16
_OUR_PACKAGES = frozenset(
    {
        "posthouse", "ingress_smtp", "policy_engine", "delivery_remote", "delivery_local",
        "imap_gateway", "pop3_gateway", "postmaster",
    }
)  # fmt: skip

# What differs between two equal failures, most special first.
_VARYING = (
    (re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE), "<id>"),
    (re.compile(r"[^\s<>\"'(),;:]+@[^\s<>\"'(),;]+"), "<address>"),
    (re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b"), "<host>"),
    (re.compile(r"\b[0-9a-f]*:[0-9a-f:]*:[0-9a-f:.]*", re.IGNORECASE), "<host>"),
    (re.compile(r"\b0x[0-9a-f]+\b|\b[0-9a-f]{16,}\b", re.IGNORECASE), "<hex>"),
    (re.compile(r"\d+"), "<n>"),
)

Headers = Mapping[str, str | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Obituary:
    """What is known of a dead letter.

    Attributes:
        service: Who gave up.
        reason: In words.
        exception: Class and innermost place in our code; empty if a handler decided it.
        fingerprint: Equal for equal failures.
        failures: How often handling it has failed.
        first_failed: When it failed first.
        last_failed: When it failed last.
    """

    service: str
    reason: str
    exception: str = ""
    fingerprint: str
    failures: int
    first_failed: datetime
    last_failed: datetime

    def headers(self, road: str) -> dict[str, str | int]:
        """Return the headers of the dead letter; ``road`` is where it was found."""
        return {
            SERVICE: self.service,
            ROAD: road,
            REASON: self.reason[:MAX_REASON_CHARACTERS],
            EXCEPTION: self.exception,
            FINGERPRINT: self.fingerprint,
            FAILURES: self.failures,
            FIRST_FAILED: self.first_failed.isoformat(),
            LAST_FAILED: self.last_failed.isoformat(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """How often a message has failed, as its headers say.

    Attributes:
        failures: How often.
        first_failed: When it failed first; None if never.
    """

    failures: int = 0
    first_failed: datetime | None = None

    def once_more(self, now: datetime) -> History:
        """Return the history after one more failure."""
        return History(failures=self.failures + 1, first_failed=self.first_failed or now)

    def headers(self) -> dict[str, str | int]:
        """Return the headers that carry it."""
        if self.first_failed is None:
            return {}
        return {FAILURES: self.failures, FIRST_FAILED: self.first_failed.isoformat()}


def history_in(headers: Mapping[str, object]) -> History:
    """Return what ``headers`` tell; nonsense counts as no history."""
    failures, first = headers.get(FAILURES), headers.get(FIRST_FAILED)
    if not isinstance(failures, int) or not isinstance(first, str):
        return History()
    try:
        moment = datetime.fromisoformat(first)
    except ValueError:
        return History()
    return History(failures=failures, first_failed=moment.replace(tzinfo=moment.tzinfo or UTC))


def compose(service: str, road: str, error: Exception, history: History, now: datetime) -> Obituary:
    """Return the obituary of a message that ``error`` has killed, this failure counted."""
    history = history.once_more(now)
    place = innermost(error)
    name = type(error).__name__
    # A failure's argument is its private detail: right for operators, and only they read this.
    reason = str(error) or name
    return Obituary(
        service=service,
        reason=reason if isinstance(error, MailFailure) else f"{name}: {reason}",
        exception=f"{name} {place}".strip(),
        fingerprint=fingerprint(service, road, name, place, reason),
        failures=history.failures,
        first_failed=history.first_failed or now,
        last_failed=now,
    )


def fingerprint(*facts: str) -> str:
    """Return the hash of ``facts`` without what varies between equal failures."""
    text = "\0".join(normalised(fact) for fact in facts)
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:_FINGERPRINT_CHARACTERS]


def normalised(text: str) -> str:
    """Return ``text`` with ids, addresses, hosts and numbers replaced by their kind.

    Only its beginning: the patterns take quadratic time on hostile text.
    """
    text = text[:MAX_REASON_CHARACTERS]
    for pattern, kind in _VARYING:
        text = pattern.sub(kind, text)
    return text


def innermost(error: BaseException) -> str:
    """Return the innermost place in our packages: ``package/module.py:function``, or nothing.

    Without the line number, so that an unrelated edit does not change the fingerprint.
    """
    place = ""
    for frame in traceback.extract_tb(error.__traceback__):
        parts = PurePath(frame.filename).parts
        ours = [at for at, part in enumerate(parts) if part in _OUR_PACKAGES]
        if ours and "site-packages" not in parts[ours[-1] :]:
            place = f"{'/'.join(parts[ours[-1] :])}:{frame.name}"
    return place
