"""One envelope from the road to the world and into the ledger; the heart of this service.

    claim ─▶ this copy's turn? ─▶ way ─▶ rest? slot ─▶ octets ─▶ servers ─▶ ledger (+ reports) ─▶ Ack or Wait

Promise 3: one copy of an envelope is worked on at a time, whatever the broker does (the claim);
the claim is confirmed before each final dot, and kept until the ledger has the result. Only what
ends between a server's 250 and our commit is sent twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import msgspec

from delivery_remote.bookkeeping import Books
from delivery_remote.copies import Drop, Later, Now, turn_of
from delivery_remote.destinations import Destinations
from delivery_remote.folders import Filing
from delivery_remote.guard import Guard
from delivery_remote.handover import Handover, Results, Said
from delivery_remote.next_hop import Destination, Rest
from delivery_remote.octets import Octets, open_octets
from delivery_remote.return_paths import ReturnAddresses
from delivery_remote.returns import Returns
from delivery_remote.routes import Closed, Folder, NoWay, Plan, Way
from delivery_remote.session import Mail
from delivery_remote.sources import Sources
from delivery_remote.trouble import Later as TryLater
from delivery_remote.ways import Ways
from posthouse.blobs import Blobs
from posthouse.bus.moves import Ack, Move, Wait
from posthouse.mail.envelope import InboundRecipient, Remote
from posthouse.mail.schedule import Deadline
from posthouse.mail.status import Status
from posthouse.storage.ledger import Claim, Claims
from posthouse.telemetry.logs import about, get_logger
from posthouse.telemetry.metrics import counter

CROWDED_WAIT = timedelta(seconds=5)  # back on the road soon, without an attempt counted
CLAIMED_WAIT = timedelta(seconds=30)  # while another copy is worked on

TOO_BUSY = TryLater(Status(451, (4, 4, 5)), "too much mail waits for the destination")
SPARE_PLACES = 0.25  # of a shard's places: kept for destinations that can begin at once

log = get_logger()
_crowded = counter(
    "posthouse_remote_crowded_total", "Mails sent back because their destination is busy"
)
_copies = counter(
    "posthouse_remote_copies_total", "Copies of envelopes that were not worked on, by why", "why"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What `Delivery` is made of.

    Attributes:
        claims: Say who works on an envelope.
        blobs: Where the octets are.
        ways: Where mail goes.
        filing: Files into folders of this machine.
        guard: What the servers there must prove.
        destinations: What is known of next hops.
        sources: Say from which address of ours it leaves.
        addresses: Say what servers see as the sender.
        books: Take what was said.
        returns: Follow sites that are back.
    """

    claims: Claims
    blobs: Blobs
    ways: Ways
    filing: Filing
    guard: Guard
    destinations: Destinations
    sources: Sources
    addresses: ReturnAddresses
    books: Books
    returns: Returns


class Delivery:
    """Delivers one envelope after the other, from whatever road."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def deliver(self, envelope: Remote, *, may_wait: bool = True) -> Move:
        """Deliver ``envelope``; send it back if its destination is busy and it may not wait."""
        with about(envelope=str(envelope.id), domain=envelope.domain):
            async with self._parts.claims.claim(envelope) as claim:
                if claim is None:
                    return self._aside("claimed", Wait(CLAIMED_WAIT, envelope))
                match turn_of(envelope, claim.open, datetime.now(UTC)):
                    case Drop():
                        return self._aside("done", Ack())
                    case Later(delay=delay, envelope=again):
                        return self._aside("early", Wait(delay, again))
                    case Now(envelope=rest):
                        expired = await self._parts.books.expire(rest)
                        return expired or await self._find_way(rest, claim, may_wait=may_wait)

    @staticmethod
    def _aside(why: str, move: Move) -> Move:
        """This copy is not worked on."""
        _copies.labels(why).inc()
        log.info("copy put aside", why=why)
        return move

    async def _find_way(self, envelope: Remote, claim: Claim, *, may_wait: bool) -> Move:
        way = await self._parts.ways.plan(
            envelope.domain,
            envelope.sender,
            on_request=envelope.on_request,
            via=envelope.via,
        )
        match await self._secured(way, envelope):
            case Plan() as plan:
                return await self._go(envelope, plan, claim, may_wait=may_wait)
            case Closed() as shut:
                return await self._parts.books.shut(envelope, shut)
            case Folder() as folder:
                return await self._file(envelope, folder, claim, may_wait=may_wait)
            case no_way:
                tried = _tried(envelope)
                return await self._settle(tried, _for_all(tried.recipients, no_way))

    async def _secured(self, way: Way, envelope: Remote) -> Way:
        """Return ``way`` with what its servers must prove; reports go all ways (RFC 8689 §5)."""
        if not isinstance(way, Plan):
            return way
        secret = envelope.handling.requiretls and bool(envelope.sender)
        return await self._parts.guard.secured(way, envelope.domain, secret=secret)

    async def _file(
        self, envelope: Remote, folder: Folder, claim: Claim, *, may_wait: bool
    ) -> Move:
        """File ``envelope``; what would tell of a second time goes when the ledger knows."""
        destination = self._parts.destinations.get(str(folder.hop))
        if destination.is_crowded or (destination.is_full and not may_wait):
            return await self._send_back(envelope)
        envelope = _tried(envelope)
        async with destination.slot():
            octets = await open_octets(self._parts.blobs, envelope)
            filed = await self._parts.filing.file(envelope, folder.hop, octets, claim)
            move = await self._settle(envelope, filed.results)
            await self._parts.filing.forget(filed)
            return move

    async def _go(self, envelope: Remote, plan: Plan, claim: Claim, *, may_wait: bool) -> Move:
        """Hand ``envelope`` over to the servers of ``plan``, or put it off."""
        destination = self._parts.destinations.get(plan.destination)
        destination.meet(plan.targets)
        asked_for, envelope = envelope, _tried(envelope)
        if asked_for.on_request:
            destination.wake(_asked_since(claim))
        if destination.is_unproven and any(row.next_attempt_at for row in claim.open):
            destination.missed(envelope.domain)  # deferred before our time, perhaps not alone
        rest = destination.resting()
        if rest is not None:
            return await self._put_off(envelope, destination, rest)
        if destination.is_crowded or (destination.is_full and not may_wait):
            return await self._send_back(asked_for)  # or a closed way would keep it
        async with destination.slot():
            # Settled within the slot: what is sent and not yet settled never exceeds the slots.
            # That many mails a crash can double, and a ledger that is slow slows the sending.
            rest = destination.resting()  # who was in the slot before has found that out
            if rest is not None:
                return await self._put_off(envelope, destination, rest)
            results = await self._results(envelope, plan, destination, claim)
            move = await self._settle(envelope, results)
        self._parts.returns.look(destination, envelope.domain)
        return move

    async def _put_off(self, envelope: Remote, destination: Destination, rest: Rest) -> Move:
        destination.missed(envelope.domain)
        return await self._parts.books.put_off(envelope, rest)

    async def _settle(self, envelope: Remote, results: Results) -> Move:
        return await self._parts.books.settle(envelope, results)

    async def _send_back(self, envelope: Remote) -> Move:
        """Return ``envelope`` to the broker for a moment; give it up when its time is over."""
        timetable = self._parts.books.timetable_of(envelope)
        if datetime.now(UTC) - envelope.released >= timetable.give_up:
            return await self._settle(envelope, _for_all(envelope.recipients, TOO_BUSY))
        _crowded.inc()
        return Wait(CROWDED_WAIT, envelope)

    async def _results(
        self, envelope: Remote, plan: Plan, destination: Destination, claim: Claim
    ) -> Results:
        octets = await open_octets(self._parts.blobs, envelope)
        if plan.relaxed and octets.waives_tls:  # RFC 8689 §4.2.2
            plan = replace(plan, targets=plan.relaxed)
        guise = await self._parts.addresses.guise_of(envelope)
        mail = replace(_mail(envelope, octets, claim), guise=guise)
        exits = await self._parts.sources.exits(envelope.sender, envelope.domain)
        handover = Handover(self._parts.destinations, plan, mail, envelope.recipients, exits)
        return await handover.run(destination)


class Shard:
    """The handler of one road; it keeps places free for those who need not wait."""

    def __init__(self, delivery: Delivery, places: int) -> None:
        self._delivery = delivery
        self._calm = places * (1 - SPARE_PLACES)
        self._running = 0

    async def __call__(self, envelopes: Sequence[Remote]) -> Sequence[Move]:
        """Deliver each of ``envelopes``, one after the other."""
        self._running += 1
        try:
            return [
                await self._delivery.deliver(envelope, may_wait=self._running < self._calm)
                for envelope in envelopes
            ]
        finally:
            self._running -= 1


def _asked_since(claim: Claim) -> timedelta:
    """Return how long ago somebody made this mail due (`posthouse.storage.ledger.deciding`)."""
    due = [row.next_attempt_at for row in claim.open if row.next_attempt_at is not None]
    return max(timedelta(), datetime.now(UTC) - min(due)) if due else timedelta()


def _tried(envelope: Remote) -> Remote:
    """Return ``envelope`` as it goes on: who asked for it asked for one attempt."""
    return msgspec.structs.replace(envelope, on_request=False)


def _for_all(recipients: Sequence[InboundRecipient], verdict: NoWay) -> Results:
    """Return ``verdict`` for all ``recipients``: no server was asked."""
    return {recipient.n: Said(verdict) for recipient in recipients}


def _mail(envelope: Remote, octets: Octets, claim: Claim) -> Mail:
    paths = (envelope.sender, *(recipient.address for recipient in envelope.recipients))
    needs_utf8 = envelope.smtputf8 and not octets.has_plain_header
    return Mail(
        sender=envelope.sender,
        recipients=(),
        size=envelope.size,
        body=envelope.body,
        smtputf8=needs_utf8 or not all(map(str.isascii, paths)),
        plain_header=octets.has_plain_header,
        handling=envelope.handling,
        deadline=_deadline(envelope),
        pieces=_confirmed(octets, claim),
    )


def _deadline(envelope: Remote) -> Deadline | None:
    deadline = envelope.deadline
    return deadline and replace(deadline, is_told=deadline.is_told or envelope.warned)


def _confirmed(octets: Octets, claim: Claim) -> Callable[[], AsyncIterator[bytes]]:
    """Return pieces that end, and let the final dot go, only if ``claim`` still holds."""

    async def pieces() -> AsyncIterator[bytes]:
        async for piece in octets.pieces():
            yield piece
        await claim.confirm()

    return pieces
