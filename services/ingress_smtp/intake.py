"""Acceptance: from the last octet of a message to the right to say 250 (promise 1).

    stamp ─▶ octets into object storage ─▶ rows into the ledger ─▶ 250 ─▶ onto the road

A failure before the commit keeps nothing but, at worst, octets that no row names; the collector
takes those away. A failure behind it harms nothing: the sweeper publishes what the ledger has.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

import msgspec

from ingress_smtp import stamps
from ingress_smtp.stamps import Arrival
from posthouse.mail.envelope import (
    MAX_SUMMARY_OCTETS,
    Body,
    Envelope,
    Inbound,
    InboundRecipient,
    Summary,
)
from posthouse.mail.errors import Unavailable
from posthouse.mail.header import first, header_end
from posthouse.mail.ids import new_id
from posthouse.mime import scan
from posthouse.storage.ledger import NewMail, NewRecipient
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter, histogram

SCAN_ON_LOOP_OCTETS = 256 * 1024  # a larger message is scanned in a thread
TROUBLE_SECONDS = 30.0  # after a failure, unless one was accepted since
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


class Ledger(Protocol):
    """What acceptance needs of the ledger."""

    async def accept(self, mail: NewMail) -> None:
        """Return after ``mail`` is committed; raise `Unavailable` if it is not sure to be."""


class Outbox(Protocol):
    """What acceptance needs of the roads."""

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Publish soon; never fails and never waits for a broker."""


class Acceptance:
    """Takes responsibility for messages."""

    def __init__(self, *, blobs: Store, ledger: Ledger, outbox: Outbox, hostname: str) -> None:
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

    async def accept(self, arrival: Arrival, content: bytes) -> Inbound:
        """Make ``content`` safe and return its envelope, to be given to `publish` after the 250.

        Raises:
            Unavailable: Nothing was accepted.
        """
        began = time.monotonic()
        ident = new_id()
        now = datetime.now(UTC)
        octets = self._stamped(arrival, content, ident=ident, now=now)
        try:
            inbound = await self._stored(_envelope(arrival, octets, ident), octets)
            await self._ledger.accept(_entry(arrival, inbound, content))
        except Unavailable as trouble:
            self._failed_at = time.monotonic()
            _FAILED.inc()
            log.warning("message not accepted", reason=str(trouble))
            raise
        self._failed_at = None
        _ACCEPTED.labels("submission" if arrival.is_submission else "mx").inc()
        _OCTETS.inc(len(octets))
        _SECONDS.observe(time.monotonic() - began)
        return inbound

    async def publish(self, inbound: Inbound) -> None:
        """Put an accepted message on its road; if that fails the sweeper does it."""
        await self._outbox.publish((inbound,))

    def _stamped(self, arrival: Arrival, content: bytes, *, ident: UUID, now: datetime) -> bytes:
        """Return the octets that are stored: what was sent below our own fields."""
        host = self._hostname
        fields = stamps.received(arrival, hostname=host, ident=ident, now=now)
        fields += stamps.authentication_results(arrival, hostname=host)
        if arrival.is_submission:
            fields += stamps.missing_fields(content, hostname=host, ident=ident, now=now)
        if empty_line := stamps.separator(content):
            return fields + empty_line + content
        return fields + stamps.without_forged_results(content, hostname=host)

    async def _stored(self, inbound: Inbound, octets: bytes) -> Inbound:
        """Store ``octets`` and return the envelope with their scan, if that is small enough."""
        if len(octets) <= SCAN_ON_LOOP_OCTETS:
            summary = scan(octets)
            await self._blobs.put(inbound.blob, octets)
        else:
            putting = self._blobs.put(inbound.blob, octets)
            _, summary = await asyncio.gather(putting, asyncio.to_thread(scan, octets))
        return with_summary(inbound, summary)


def with_summary(inbound: Inbound, summary: Summary) -> Inbound:
    """Return the envelope with ``summary``, or as it is if that is too large to travel."""
    if summary.octets > MAX_SUMMARY_OCTETS:
        return inbound
    return msgspec.structs.replace(inbound, summary=summary)


def _envelope(arrival: Arrival, octets: bytes, ident: UUID) -> Inbound:
    # Many clients send 8-bit text without saying so; the next hop must know.
    body: Body = arrival.body if octets.isascii() else "8BITMIME"
    return Inbound(
        id=ident,
        sender=arrival.sender,
        size=len(octets),
        body=body,
        smtputf8=arrival.smtputf8,
        auth=arrival.auth,
        handling=arrival.handling,
        recipients=tuple(
            InboundRecipient(n=n, address=to.recipient, notify=to.notify)
            for n, to in enumerate(arrival.recipients)
        ),
    )


def _entry(arrival: Arrival, inbound: Inbound, content: bytes) -> NewMail:
    """Return what the ledger is to hold of the message."""
    header = inbound.summary.header if inbound.summary else content[: header_end(content)]
    message_id = first(header, b"Message-ID").replace("\0", "")[:MESSAGE_ID_CHARACTERS]
    return NewMail(
        id=inbound.id,
        origin="submission" if arrival.is_submission else "smtp",
        sender=inbound.sender,
        size=inbound.size,
        body=inbound.body,
        smtputf8=inbound.smtputf8,
        client=f"{arrival.client} {arrival.hello}",
        auth=inbound.auth,
        message_id=message_id,
        recipients=tuple(NewRecipient(to.n, to.address, to.notify) for to in inbound.recipients),
        handling=inbound.handling,
        envelope=inbound,
    )
