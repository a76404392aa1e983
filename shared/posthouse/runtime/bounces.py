"""Telling senders: from failed recipients to a report that is stored and ready for the ledger.

Used by every station that settles recipients. The order is: `endings` says how the recipients
settle, `prepare_bounce` stores the report's octets, ``ledger.settle`` writes both in one
transaction (the report only if a row really changed), then the caller publishes `NewMail.envelope`.
A redelivered envelope changes no row, so nobody is told twice; the octets it stored belong to no
row and are collected.

The null sender is never answered (RFC 5321 §4.5.5). What cannot be told to a sender goes to the
operator's double bounce address, from a sender of its own name: that name stays with the report
through aliases and forwards, so a report that fails itself is known, and discarded by that rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from posthouse.blobs import Blobs
from posthouse.mail.dsn import MAX_ORIGINAL_OCTETS, Failure, Report, compose_dsn
from posthouse.mail.envelope import MAX_SUMMARY_OCTETS, Envelope, Inbound, InboundRecipient
from posthouse.mail.errors import MissingObject
from posthouse.mail.ids import moment_of, new_id
from posthouse.mail.outcome import Bounced, Discarded, Outcome
from posthouse.mime import scan
from posthouse.storage.ledger import NewMail, NewRecipient

DOUBLE_BOUNCE = "double bounce"  # the rule's name in the ledger
_EMPTY_LINE = b"\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporter:
    """Who reports, and to whom when there is no sender.

    Attributes:
        blobs: Where reports are stored and originals are read.
        hostname: Our name, in From and Reporting-MTA.
        double_bounce_address: Who is told when there is no sender; empty for nobody.
    """

    blobs: Blobs
    hostname: str
    double_bounce_address: str = ""

    @property
    def double_bounce_sender(self) -> str:
        """The reverse path of reports to `double_bounce_address`; nobody reads it."""
        return f"double-bounce@{self.hostname}"


def told(reporter: Reporter, message: Envelope) -> str:
    """Return whom to tell of a failure of ``message``; empty for nobody."""
    if message.sender == reporter.double_bounce_sender:
        return ""  # the report of a double bounce failed itself: it ends here
    return message.sender or reporter.double_bounce_address


def endings(
    reporter: Reporter, message: Envelope, outcomes: Sequence[Outcome]
) -> tuple[Outcome, ...]:
    """Turn bounces that can be told to nobody into discards by the rule `DOUBLE_BOUNCE`."""
    if told(reporter, message):
        return tuple(outcomes)
    return tuple(
        Discarded(n=outcome.n, rule=DOUBLE_BOUNCE) if isinstance(outcome, Bounced) else outcome
        for outcome in outcomes
    )


async def prepare_bounce(
    reporter: Reporter,
    message: Envelope,
    failures: Sequence[Failure],
    *,
    retry_until: datetime | None = None,
) -> NewMail | None:
    """Store a report on ``failures`` and return it for ``ledger.settle``.

    None if nobody is to be told: there are no failures, a mere delay of a message with the null
    sender, or a double bounce without an address. Give failed and delayed recipients in two calls.
    Raises `Unavailable` when the object store is away.
    """
    to = told(reporter, message)
    is_delay = all(failure.action == "delayed" for failure in failures)
    if not failures or not to or (is_delay and not message.sender):
        return None
    ident = new_id()
    report = Report(
        id=ident,
        host=reporter.hostname,
        made=datetime.now(UTC),
        to=to,
        subject_id=message.id,
        sender=message.sender,
        arrived=moment_of(message.id),
        failures=tuple(failures),
        original=await _original_header(reporter.blobs, message),
        retry_until=retry_until,
    )
    return await _stored(reporter, report)


async def _original_header(blobs: Blobs, message: Envelope) -> bytes:
    """Return the header; nothing if the octets are gone: the sender is told all the same."""
    try:
        start = await blobs.get_range(message.blob, 0, min(message.size, MAX_ORIGINAL_OCTETS))
    except MissingObject:
        return b""
    return start.partition(_EMPTY_LINE)[0] + b"\r\n"


async def _stored(reporter: Reporter, report: Report) -> NewMail:
    # RFC 3464 §2: the null reverse path, so that nothing answers a report.
    sender = "" if report.sender else reporter.double_bounce_sender
    octets = compose_dsn(report)
    summary = scan(octets)
    envelope = Inbound(
        id=report.id,
        sender=sender,
        size=len(octets),
        smtputf8=report.smtputf8,
        body="8BITMIME" if report.smtputf8 else "7BIT",
        recipients=(InboundRecipient(n=0, address=report.to),),
        summary=summary if summary.octets <= MAX_SUMMARY_OCTETS else None,
    )
    await reporter.blobs.put(envelope.blob, octets)
    return NewMail(
        id=report.id,
        origin="bounce",
        sender=sender,
        size=len(octets),
        body=envelope.body,
        smtputf8=envelope.smtputf8,
        client="",
        auth="",
        message_id=report.message_id,
        recipients=(NewRecipient(n=0, address=report.to),),
        subject_id=report.subject_id,
        envelope=envelope,
    )
