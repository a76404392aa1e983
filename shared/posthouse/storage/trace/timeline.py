"""What became of one message: the ledger's rows and the services' notes, in the order of time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from posthouse.mail.ids import day_of
from posthouse.mail.schedule import deadline_of, release_of, utc
from posthouse.storage.pool import Queries, Row

_ENVELOPE = """
    select id, accepted_at, origin, sender, size, client, auth, message_id, subject_id, hold,
           deliver_by, verdict
      from envelopes where day = $1 and id = $2
"""
_RECIPIENTS = """
    select n, address, state, parent, sender, road, account_id as account, folder, domain,
           routed_at, attempts, next_attempt_at, status, reply, host, uid, settled_at
      from recipients where day = $1 and envelope = $2 order by n
"""
_EVENTS = """
    select at, service, what, recipient, detail from events
     where day = $1 and envelope = $2 order by at
"""
# Who writes these rows.
_INGRESS, _POLICY, _LOCAL, _REMOTE = "ingress-smtp", "policy", "delivery-local", "delivery-remote"
_POSTMASTER = "postmaster"


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedEnvelope:
    """The message as it was accepted; see `posthouse.storage.ledger.NewMail`."""

    id: UUID
    accepted_at: datetime
    origin: str
    sender: str
    size: int
    client: str
    auth: str
    message_id: str
    subject_id: UUID | None
    hold: str | None
    deliver_by: str | None
    verdict: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedRecipient:
    """A recipient as it stands now; the fields are the ledger's columns."""

    n: int
    address: str
    state: str
    parent: int | None
    sender: str | None
    road: str | None
    account: int | None
    folder: str | None
    domain: str | None
    routed_at: datetime | None
    attempts: int
    next_attempt_at: datetime | None
    status: str | None
    reply: str | None
    host: str | None
    uid: int | None
    settled_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a message.

    Attributes:
        at: When (UTC).
        service: Who says so.
        what: A constant phrase in past tense.
        recipient: To which recipient; None to the message.
        detail: What varies.
    """

    at: datetime
    service: str
    what: str
    recipient: int | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Everything that is known of one message."""

    envelope: TracedEnvelope
    recipients: tuple[TracedRecipient, ...]
    events: tuple[Event, ...]


async def timeline(queries: Queries, ident: UUID) -> Timeline | None:
    """Return what became of the message ``ident``; None if the ledger does not know it."""
    key = (day_of(ident), ident)
    row = await queries.fetchrow(_ENVELOPE, *key)
    if row is None:
        return None
    verdict = json.loads(row["verdict"]) if row["verdict"] else None
    envelope = TracedEnvelope(**{**dict(row), "verdict": verdict})
    recipients = [TracedRecipient(**dict(r)) for r in await queries.fetch(_RECIPIENTS, *key)]
    noted = [_event(r) for r in await queries.fetch(_EVENTS, *key)]
    return Timeline(
        envelope=envelope,
        recipients=tuple(recipients),
        events=merged(from_ledger(envelope, recipients), noted),
    )


def _event(row: Row) -> Event:
    return Event(**dict(row))


def merged(told: Iterator[Event], noted: Sequence[Event]) -> tuple[Event, ...]:
    """Put both in the order of time; what a service noted itself, the ledger need not tell again."""
    known = {(event.what, event.recipient) for event in noted}
    rest = [event for event in told if (event.what, event.recipient) not in known]
    return tuple(sorted([*rest, *noted], key=lambda event: event.at))


def from_ledger(envelope: TracedEnvelope, recipients: Sequence[TracedRecipient]) -> Iterator[Event]:
    """Tell what the ledger's rows say, as events."""
    yield Event(
        at=envelope.accepted_at,
        service=_AUTHORS.get(envelope.origin, _INGRESS),
        what="accepted",
        recipient=None,
        detail=_acceptance(envelope),
    )
    if envelope.verdict is not None:
        yield Event(
            at=envelope.accepted_at, service=_POLICY, what="judged", recipient=None,
            detail=_judgement(envelope.verdict),
        )  # fmt: skip
    yield from _schedule(envelope)
    for recipient in recipients:
        if recipient.routed_at is not None and recipient.parent is None:
            yield _told(recipient, recipient.routed_at, "routed", _way(recipient, recipients))
        if recipient.settled_at is not None and recipient.state != "expanded":
            yield _told(recipient, recipient.settled_at, _END[recipient.state], _end(recipient))


def _schedule(envelope: TracedEnvelope) -> Iterator[Event]:
    """Tell until when it is held, and must have arrived (RFC 4865, RFC 2852)."""
    at = envelope.accepted_at
    release = release_of(envelope.hold or "", at)
    if release > at:
        yield Event(
            at=at, service=_INGRESS, what="held", recipient=None, detail=f"until {utc(release)}"
        )
    deadline = deadline_of(envelope.deliver_by or "", at)
    if deadline is not None:
        then = "it is returned" if deadline.returns else "its sender is told"
        yield Event(
            at=at, service=_INGRESS, what="deadline set", recipient=None,
            detail=f"{utc(deadline.at)}, then {then}",
        )  # fmt: skip


_END = {"delivered": "filed", "relayed": "relayed", "bounced": "bounced", "discarded": "discarded"}


_AUTHORS = {"bounce": _REMOTE, "report": _POSTMASTER}  # of what nobody brought to us


def _told(recipient: TracedRecipient, at: datetime, what: str, detail: str) -> Event:
    station = _REMOTE if recipient.road == "remote" else _LOCAL
    if what == "routed" or recipient.road is None:
        station = _POLICY
    return Event(at=at, service=station, what=what, recipient=recipient.n, detail=detail)


def _acceptance(envelope: TracedEnvelope) -> str:
    if envelope.origin == "bounce":
        return f"report on {envelope.subject_id}"
    if envelope.origin == "report":
        return "report of ours"
    by = f" by {envelope.auth}" if envelope.auth else ""
    by += f"; a report on {envelope.subject_id}" if envelope.subject_id else ""
    return f"{envelope.origin} from {envelope.client}{by}"


def _judgement(verdict: Mapping[str, Any]) -> str:
    """Say what was decided, and what counted: ``quarantine, 7.1 points: DMARC_FAIL, HTML_ONLY 2.1``."""
    rules = [f"{name} {score:g}" if score else name for name, score in verdict.get("rules", ())]
    found = f": {', '.join(rules)}" if rules else ""
    by = f" by {', '.join(verdict['by'])}" if verdict.get("by") else ""
    held = f"; held: {verdict['hold']}" if verdict.get("hold") else ""
    return f"{verdict['action']}{by}, {verdict.get('score', 0):g} points{found}{held}"


def _way(recipient: TracedRecipient, recipients: Sequence[TracedRecipient]) -> str:
    """Say where a recipient was sent; of one that was replaced, where each of those was sent."""
    if recipient.state == "expanded":
        children = [each for each in recipients if each.parent == recipient.n]
        return "; ".join(_way(each, ()) for each in children) or "to recipients named already"
    if recipient.road == "local":
        return f"to the mailbox of {recipient.address}"
    return f"to {recipient.address} at {recipient.domain}"


def _end(recipient: TracedRecipient) -> str:
    if recipient.state == "delivered":
        return f"{recipient.folder}, UID {recipient.uid}"
    parts = (recipient.host, recipient.status, recipient.reply)
    return " ".join(part for part in parts if part)
