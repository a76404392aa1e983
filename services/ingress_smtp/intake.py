"""Acceptance: from the last octet of a message to the right to say 250 (promise 1).

    stamp ─▶ octets into object storage ─▶ rows into the ledger ─▶ 250 ─▶ onto the road

A failure before the commit keeps nothing but, at worst, octets that no row names; the collector
takes those away. A failure behind it harms nothing: the sweeper publishes what the ledger has.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Protocol

import msgspec

from ingress_smtp.draft import Letter
from ingress_smtp.letterhead import Examiner, Letterhead
from ingress_smtp.stamps import Arrival
from ingress_smtp.timing import Steps
from posthouse.mail.content import ContentVerdict
from posthouse.mail.envelope import (
    MAX_SUMMARY_OCTETS,
    Body,
    Envelope,
    Inbound,
    InboundRecipient,
    Summary,
)
from posthouse.mail.errors import Unavailable
from posthouse.mail.header import first
from posthouse.mime import Pages, scan
from posthouse.storage.ledger import NewMail, NewRecipient
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter, histogram

SCAN_ON_LOOP_OCTETS = 256 * 1024  # a larger message is scanned in a thread
TROUBLE_SECONDS = 30.0  # after a failure, unless one was accepted since
BEGINNING_OCTETS = 64 * 1024  # looked through for the Message-ID of what is not stored
MESSAGE_ID_CHARACTERS = 998  # RFC 5322 §2.1.1: no line is longer

_ACCEPTED = counter(
    "posthouse_ingress_messages_total", "Messages that were answered with 250.", "role"
)
_OCTETS = counter("posthouse_ingress_octets_total", "Octets of the messages accepted.")
_FAILED = counter(
    "posthouse_ingress_unavailable_total", "Messages answered with 451: storage or ledger is away."
)
_SECONDS = histogram(
    "posthouse_ingress_acceptance_seconds", "From the last octet of a message to its 250."
)
log = get_logger()


class Store(Protocol):
    """What acceptance needs of object storage."""

    async def put(self, key: str, octets: bytes) -> None:
        """Return when ``octets`` are durable; raise `Unavailable`."""

    async def put_file(self, key: str, descriptor: int) -> None:
        """Return when all that the open file holds is durable; raise `Unavailable`."""


class Ledger(Protocol):
    """What acceptance needs of the ledger."""

    async def accept(self, mail: NewMail) -> None:
        """Return after ``mail`` is committed; raise `Unavailable` if it is not sure to be."""

    async def discard(self, mail: NewMail, rule: str) -> None:
        """Return after it is committed that ``mail`` ends here by ``rule``; likewise."""


class Outbox(Protocol):
    """What acceptance needs of the roads."""

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Publish soon; never fails and never waits for a broker."""


class Acceptance:
    """Takes responsibility for messages."""

    def __init__(
        self,
        *,
        blobs: Store,
        ledger: Ledger,
        outbox: Outbox,
        hostname: str,
        examiner: Examiner | None = None,
    ) -> None:
        self._examiner = examiner
        self._blobs = blobs
        self._ledger = ledger
        self._outbox = outbox
        self._hostname = hostname
        self._failed_at: float | None = None

    def trouble(self) -> str | None:
        """Return why nothing can be accepted, as far as was seen in the last seconds."""
        if self._failed_at is None or time.monotonic() - self._failed_at > TROUBLE_SECONDS:
            return None
        return "the last message could not be stored"

    def letterhead(self, arrival: Arrival) -> Letterhead:
        """Return what the message that has arrived like this gets on top."""
        return Letterhead(arrival, self._hostname, self._examiner)

    async def accept(
        self, arrival: Arrival, letter: Letter, verdict: ContentVerdict | None
    ) -> Inbound:
        """Make ``letter`` safe and return its envelope, to be given to `publish` after the 250.

        Args:
            arrival: How it came.
            letter: The message.
            verdict: What policy said of it; None: nobody has judged.

        Raises:
            Unavailable: Nothing was accepted.
        """
        began, steps = time.monotonic(), Steps()
        envelope = _envelope(arrival, letter, verdict)
        try:
            summary = await self._stored(envelope.blob, letter)
            inbound = with_summary(envelope, summary)
            steps.done("store")
            record = verdict.record if verdict else ""
            await self._ledger.accept(_entry(arrival, inbound, summary.header, record))
            steps.done("commit")
        except Unavailable as trouble:
            self._failed_at = time.monotonic()
            _FAILED.inc()
            log.warning("message not accepted", reason=str(trouble))
            raise
        self._failed_at = None
        _ACCEPTED.labels("submission" if arrival.is_submission else "mx").inc()
        _OCTETS.inc(inbound.size)
        _SECONDS.observe(time.monotonic() - began)
        return inbound

    async def discard(self, arrival: Arrival, letter: Letter, verdict: ContentVerdict) -> None:
        """Write down that ``letter`` is thrown away, by which rule; its octets are not stored.

        Raises:
            Unavailable: It is not sure that this is written.
        """
        content = letter.content
        if not isinstance(content, bytes):
            content = await content.work(_beginning, content.pages())
        entry = _entry(arrival, _envelope(arrival, letter, verdict), content, verdict.record)
        await self._ledger.discard(entry, verdict.rule)

    async def publish(self, inbound: Inbound) -> None:
        """Put an accepted message on its road; if that fails, or it is held, the sweeper does it."""
        if inbound.released <= inbound.arrived:
            await self._outbox.publish((inbound,))

    async def _stored(self, key: str, letter: Letter) -> Summary:
        """Store the message and return its scan."""
        content = letter.content
        if not isinstance(content, bytes):
            putting = self._blobs.put_file(key, content.descriptor)
            _, summary = await asyncio.gather(putting, content.work(scan, content.pages()))
        elif len(content) > SCAN_ON_LOOP_OCTETS:
            putting = self._blobs.put(key, content)
            _, summary = await asyncio.gather(putting, asyncio.to_thread(scan, content))
        else:
            summary = scan(content)
            await self._blobs.put(key, content)
        return summary


def with_summary(inbound: Inbound, summary: Summary) -> Inbound:
    """Return the envelope with ``summary``, or as it is if that is too large to travel."""
    if summary.octets > MAX_SUMMARY_OCTETS:
        return inbound
    return msgspec.structs.replace(inbound, summary=summary)


def _beginning(pages: Pages) -> bytes:
    return pages[:BEGINNING_OCTETS]


def _envelope(arrival: Arrival, letter: Letter, verdict: ContentVerdict | None) -> Inbound:
    # Many clients send 8-bit text without saying so; the next hop must know.
    body: Body = arrival.body if letter.is_ascii else "8BITMIME"
    return Inbound(
        id=letter.ident,
        sender=arrival.sender,
        size=letter.size,
        body=body,
        smtputf8=arrival.smtputf8,
        auth=arrival.auth,
        handling=arrival.handling,
        junk=verdict is not None and verdict.action == "quarantine",
        unjudged=verdict is None,
        wait=verdict.hold if verdict else "",
        recipients=tuple(
            InboundRecipient(n=n, address=to.recipient, notify=to.notify)
            for n, to in enumerate(arrival.recipients)
        ),
    )


def _entry(arrival: Arrival, inbound: Inbound, header: bytes, verdict: str) -> NewMail:
    """Return what the ledger is to hold of the message."""
    message_id = first(header, b"Message-ID").replace("\0", "")[:MESSAGE_ID_CHARACTERS]
    return NewMail(
        id=inbound.id,
        origin="submission" if arrival.is_submission else "smtp",
        sender=inbound.sender,
        size=inbound.size,
        body=inbound.body,
        smtputf8=inbound.smtputf8,
        client=arrival.whence,
        auth=inbound.auth,
        message_id=message_id,
        recipients=tuple(NewRecipient(to.n, to.address, to.notify) for to in inbound.recipients),
        handling=inbound.handling,
        verdict=verdict,
        envelope=inbound,
    )
