"""One envelope from the road to the world and into the ledger; the heart of this service.

    claim ─▶ this copy's turn? ─▶ way ─▶ rest? slot ─▶ octets ─▶ servers ─▶ ledger (+ reports) ─▶ Ack or Wait

Promise 3: one copy of an envelope is worked on at a time, whatever the broker does (the claim);
the claim is confirmed before each final dot, and kept until the ledger has the result. Only what
ends between a server's 250 and our commit is sent twice.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from delivery_remote.pace import Crowded, Party, Site
from delivery_remote.return_paths import Guise, ReturnAddresses
from delivery_remote.returns import Returns
from delivery_remote.routes import Closed, Folder, NoWay, Plan, Way
from delivery_remote.session import Mail
from delivery_remote.sources import Exits, Sources
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

CLAIMED_WAIT = timedelta(seconds=30)  # while another copy is worked on

TOO_BUSY = TryLater(Status(451, (4, 4, 5)), "too much mail waits for the destination")

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

    async def __call__(self, envelopes: Sequence[Remote]) -> Sequence[Move]:
        """Deliver each of ``envelopes``, one after the other: the handler of the roads."""
        return [await self.deliver(envelope) for envelope in envelopes]

    async def deliver(self, envelope: Remote) -> Move:
        """Deliver ``envelope``; send it back if too much waits for its site."""
        with about(envelope=envelope.id, domain=envelope.domain):
            way = await self.way(envelope)
            if isinstance(way, Plan):
                destination, _ = await self.beyond(way, envelope)
                if self._is_crowded(destination, envelope):
                    return self._send_back(envelope, destination.site)
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
                        return expired or await self._follow(way, rest, claim)

    @staticmethod
    def _aside(why: str, move: Move) -> Move:
        """This copy is not worked on."""
        _copies.labels(why).inc()
        log.info("copy put aside", why=why)
        return move

    async def way(self, envelope: Remote) -> Way:
        """Return where ``envelope`` goes."""
        return await self._parts.ways.plan(
            envelope.domain,
            envelope.sender,
            on_request=envelope.on_request,
            via=envelope.via,
        )

    async def _follow(self, way: Way, envelope: Remote, claim: Claim) -> Move:
        try:
            return await self._go_way(way, envelope, claim)
        except Crowded as crowded:
            if self.is_over(envelope):
                return await self._settle(envelope, _for_all(envelope.recipients, TOO_BUSY))
            return self._send_back(envelope, crowded.site)

    async def _go_way(self, way: Way, envelope: Remote, claim: Claim) -> Move:
        match await self._secured(way, envelope):
            case Plan() as plan:
                return await self._go(envelope, plan, claim)
            case Closed() as shut:
                return await self._parts.books.shut(envelope, shut)
            case Folder() as folder:
                return await self._file(envelope, folder, claim)
            case no_way:
                tried = _tried(envelope)
                return await self._settle(tried, _for_all(tried.recipients, no_way))

    async def _secured(self, way: Way, envelope: Remote) -> Way:
        """Return ``way`` with what its servers must prove; reports go all ways (RFC 8689 §5)."""
        if not isinstance(way, Plan):
            return way
        secret = envelope.handling.requiretls and bool(envelope.sender)
        return await self._parts.guard.secured(way, envelope.domain, secret=secret)

    async def _file(self, envelope: Remote, folder: Folder, claim: Claim) -> Move:
        """File ``envelope``; what would tell of a second time goes when the ledger knows."""
        destination = self._parts.destinations.get(str(folder.hop))
        envelope = _tried(envelope)
        async with destination.slot(Party.of(envelope.sender)):
            octets = await open_octets(self._parts.blobs, envelope)
            filed = await self._parts.filing.file(envelope, folder.hop, octets, claim)
            move = await self._settle(envelope, filed.results)
            await self._parts.filing.forget(filed)
            return move

    async def _go(self, envelope: Remote, plan: Plan, claim: Claim) -> Move:
        """Hand ``envelope`` over to the servers of ``plan``, or put it off."""
        destination, exits = await self.beyond(plan, envelope)
        destination.meet(plan.targets)
        asked_for, envelope = envelope, _tried(envelope)
        if asked_for.on_request:
            destination.wake(_asked_since(claim))
        if destination.is_unproven and any(row.next_attempt_at for row in claim.open):
            destination.missed(envelope.domain)  # deferred before our time, perhaps not alone
        rest = destination.resting()
        if rest is not None:
            return await self._put_off(envelope, destination, rest)
        async with destination.slot(Party.of(envelope.sender)):
            # Settled within the slot: what is sent and not yet settled never exceeds the slots.
            # That many mails a crash can double, and a ledger that is slow slows the sending.
            rest = destination.resting()  # who was in the slot before has found that out
            if rest is not None:
                return await self._put_off(envelope, destination, rest)
            results = await self._results(envelope, plan, destination, claim, exits)
            move = await self._settle(envelope, results)
        self._parts.returns.look(destination, envelope.domain)
        return move

    async def _put_off(self, envelope: Remote, destination: Destination, rest: Rest) -> Move:
        destination.missed(envelope.domain)
        return await self._parts.books.put_off(envelope, destination.in_turn(rest))

    async def _settle(self, envelope: Remote, results: Results) -> Move:
        return await self._parts.books.settle(envelope, results)

    async def beyond(self, plan: Plan, envelope: Remote) -> tuple[Destination, Exits]:
        """Return where the servers of ``plan`` are, and from where they are reached."""
        exits = await self._parts.sources.exits(envelope.sender, envelope.domain)
        return self._parts.destinations.of(plan, exits.pool), exits

    def _is_crowded(self, destination: Destination, envelope: Remote) -> bool:
        """True if it would be sent back; known before it costs a claim."""
        is_open = destination.resting() is None and not self.is_over(envelope)
        return (
            is_open
            and not envelope.verdict
            and destination.site.is_crowded(Party.of(envelope.sender))
        )

    def is_over(self, envelope: Remote) -> bool:
        """True if the time of ``envelope`` is over: it is not sent back."""
        timetable = self._parts.books.timetable_of(envelope)
        return datetime.now(UTC) - envelope.released >= timetable.give_up

    @staticmethod
    def _send_back(envelope: Remote, site: Site) -> Move:
        """Return ``envelope`` to the broker until about when its turn may come; nothing was tried."""
        _crowded.inc()
        return Wait(site.sent_back(), envelope)

    async def _results(
        self, envelope: Remote, plan: Plan, destination: Destination, claim: Claim, exits: Exits
    ) -> Results:
        octets = await open_octets(self._parts.blobs, envelope)
        if plan.relaxed and octets.waives_tls:  # RFC 8689 §4.2.2
            plan = replace(plan, targets=plan.relaxed)
        mail = _mail(envelope, octets, claim, await self._parts.addresses.guise_of(envelope))
        handover = Handover(self._parts.destinations, plan, mail, envelope.recipients, exits)
        return await handover.run(destination)


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


def _mail(envelope: Remote, octets: Octets, claim: Claim, guise: Guise | None) -> Mail:
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
        guise=guise,
        pieces=octets.pieces,
        confirm=claim.confirm,
    )


def _deadline(envelope: Remote) -> Deadline | None:
    deadline = envelope.deadline
    return deadline and replace(deadline, is_told=deadline.is_told or envelope.warned)
