"""Telling senders: from what became of recipients to a report that is stored and ready for the ledger.

Used by every station that settles recipients. The order is: `endings` says how the recipients
settle, `prepare_report` stores the report's octets, ``ledger.settle`` writes both in one
transaction (the report only if a row really changed), then the caller publishes `NewMail.envelope`.
A redelivered envelope changes no row, so nobody is told twice; the octets it stored belong to no
row and are collected.

The null sender is never answered (RFC 5321 §4.5.5). What cannot be told to a sender goes to the
operator's double bounce address, from a sender of its own name: that name stays with the report
through aliases and forwards, so a report that fails itself is known, and discarded by that rule.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from posthouse.blobs import Blobs
from posthouse.mail.dsn import MAX_ORIGINAL_OCTETS, can_go_back, compose_dsn
from posthouse.mail.envelope import MAX_SUMMARY_OCTETS, Envelope, Inbound, InboundRecipient, Summary
from posthouse.mail.errors import MissingObject
from posthouse.mail.handling import PLAIN, Handling
from posthouse.mail.ids import moment_of, new_id
from posthouse.mail.outcome import Bounced, Discarded, Outcome
from posthouse.mail.report import Fate, Report
from posthouse.mail.wording import Wording
from posthouse.mime import scan
from posthouse.runtime.wordings import ENGLISH, Wordings, wordings
from posthouse.storage.ledger import NewMail, NewRecipient

DOUBLE_BOUNCE = "double bounce"  # the rule's name in the ledger
RETURNED_OCTETS = 1_000_000
ON_LOOP_OCTETS = 256 * 1024  # of a mail that goes back; work on a larger one is done in a thread
_EMPTY_LINE = b"\r\n\r\n"

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporter:
    """Who reports, and to whom when there is no sender.

    Attributes:
        blobs: Where reports are stored and originals are read.
        hostname: Our name, in Reporting-MTA and Message-ID.
        author: The address in From; empty for MAILER-DAEMON of our name.
        double_bounce_address: Who is told when there is no sender; empty for nobody.
        return_octets_max: A larger message never goes back whole, whatever its sender wants.
        wordings: The words for people, by language.
        language: Whose words are used for who has said nothing.
        language_of: Asks what somebody has said; None for nothing.
        sign: Puts our signatures on a message of a domain, if it has keys; None for none.
    """

    blobs: Blobs
    hostname: str
    author: str = ""
    double_bounce_address: str = ""
    return_octets_max: int = RETURNED_OCTETS
    wordings: Wordings = field(default_factory=partial(wordings, None))
    language: str = ENGLISH
    language_of: Callable[[str], Awaitable[str | None]] | None = None
    sign: Callable[[bytes, str], Awaitable[bytes]] | None = None

    @property
    def double_bounce_sender(self) -> str:
        """The reverse path of reports to `double_bounce_address`; nobody reads it."""
        return f"double-bounce@{self.hostname}"

    async def wording_for(self, address: str) -> Wording:
        """Return the words in the language of ``address``; raise `Unavailable`."""
        said = await self.language_of(address) if self.language_of else None
        language = (said or self.language).lower()
        return self.wordings.get(language) or self.wordings[self.language.lower()]


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


async def prepare_report(
    reporter: Reporter,
    message: Envelope,
    fates: Sequence[Fate],
    *,
    retry_until: datetime | None = None,
) -> NewMail | None:
    """Store a report on ``fates`` and return it for ``ledger.settle``.

    None if nobody is to be told: there are no fates, something less than a failure of a message
    with the null sender, or a double bounce without an address. Give those of one kind in one call.
    Raises `Unavailable` when the object store is away, or PostgreSQL.
    """
    to = told(reporter, message)
    has_failed = any(fate.action == "failed" for fate in fates)
    if not fates or not to or not (has_failed or message.sender):
        return None
    content = await _returned(reporter, message) if has_failed else None
    report = Report(
        id=new_id(),
        host=reporter.hostname,
        author=reporter.author or f"MAILER-DAEMON@{reporter.hostname}",
        made=datetime.now(UTC),
        to=to,
        subject_id=message.id,
        sender=message.sender,
        arrived=moment_of(message.id),
        fates=tuple(fates),
        original=await _original_header(reporter.blobs, message) if content is None else content,
        content=content,
        envid=message.handling.envid,
        retry_until=retry_until,
        deliver_by=message.deadline.at if message.deadline else None,
        hold=message.handling.hold,
        is_global=message.smtputf8,
    )
    # RFC 8689 §5: a report tells of the message, so it is kept as secret.
    secret = Handling(requiretls=True) if message.handling.requiretls else PLAIN
    return await _stored(reporter, report, secret)


async def _returned(reporter: Reporter, message: Envelope) -> bytes | None:
    """Return the whole message if its sender wants it back and it can go (RFC 3461 §6.2)."""
    wanted = message.handling.ret == "FULL" and not message.handling.requiretls  # RFC 8689 §5
    if not wanted or not message.sender or message.size > reporter.return_octets_max:
        return None
    try:
        content = await reporter.blobs.get(message.blob)
    except MissingObject:
        return None
    fits = await _aside(len(content), partial(can_go_back, content))
    return content if fits else None


async def _aside(octets: int, work: Callable[[], T]) -> T:
    """Do ``work`` on as many octets: much of it beside the event loop."""
    return work() if octets <= ON_LOOP_OCTETS else await asyncio.to_thread(work)


async def _original_header(blobs: Blobs, message: Envelope) -> bytes:
    """Return the header; nothing if the octets are gone: the sender is told all the same."""
    try:
        start = await blobs.get_range(message.blob, 0, min(message.size, MAX_ORIGINAL_OCTETS))
    except MissingObject:
        return b""
    return start.partition(_EMPTY_LINE)[0] + b"\r\n"


async def _written(reporter: Reporter, report: Report) -> tuple[bytes, Summary]:
    """Return the report, signed if its author's domain has keys, and what it says of itself."""
    wording, whole = await reporter.wording_for(report.to), len(report.content or b"")
    octets = await _aside(whole, partial(compose_dsn, report, wording))
    if reporter.sign is not None:
        octets = await reporter.sign(octets, report.author.rpartition("@")[2])
    return octets, await _aside(len(octets), partial(scan, octets))


async def _stored(reporter: Reporter, report: Report, handling: Handling) -> NewMail:
    # RFC 3464 §2: the null reverse path, so that nothing answers a report.
    sender = "" if report.sender else reporter.double_bounce_sender
    octets, summary = await _written(reporter, report)
    envelope = Inbound(
        id=report.id,
        sender=sender,
        size=len(octets),
        smtputf8=report.smtputf8,
        body="8BITMIME" if report.is_8bit else "7BIT",
        handling=handling,
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
        handling=handling,
        envelope=envelope,
    )
