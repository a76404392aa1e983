"""Routing: takes the road ``mail.inbound`` and decides, once, where each recipient goes.

    directory ─▶ decisions ─▶ ledger, one transaction for the batch ─▶ mail.local, mail.remote.*

What is published is what the ledger says after the commit, not what was decided here: an envelope
that comes again, or that two pods work on, finds the first decision and publishes the same. A
recipient that leads nowhere (deleted meanwhile, a loop) ends here, and its sender is told.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

import msgspec

from policy_engine.dead_ends import NOBODY, Dead
from policy_engine.decisions import MAX_ROUNDS, Plan, Rules, first_keys, plan, turn_back
from policy_engine.late.judging import LateJudging, Sorted
from policy_engine.maps.book import CurrentMaps, no_maps
from policy_engine.maps.copying import with_copies
from policy_engine.outbound.outgoing import Outgoing
from policy_engine.places import Known
from policy_engine.receipts import receipt_of
from policy_engine.returned import reports_in
from policy_engine.rights import NO_GRANTS, Grants, Ownership, is_plain, may_send, rights_keys
from policy_engine.srs import Rewriter
from policy_engine.suppression import Pair, going_out, hold_back
from posthouse.bus.moves import Ack, Move
from posthouse.bus.topology import road_of
from posthouse.mail.envelope import Envelope, Inbound, Local, Remote
from posthouse.mail.outcome import Bounced
from posthouse.mail.report import Fate
from posthouse.mail.return_path import ReturnPaths
from posthouse.mail.status import OK
from posthouse.runtime.bounces import Reporter, endings, prepare_report
from posthouse.storage import ledger
from posthouse.storage.directory import Found
from posthouse.storage.incoming import note_incoming
from posthouse.storage.ledger import Decision, Expanded, envelopes_of, facts_of
from posthouse.storage.pool import Pool
from posthouse.storage.suppressing import Reason
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

REMOTE_RECIPIENTS_MAX = 100  # per envelope: what every server takes at once (RFC 5321 §4.5.3.1.8)

_ROUTED = counter("posthouse_policy_recipients_total", "Recipients sent on their way.", "road")
_DEAD = counter("posthouse_policy_unroutable_total", "Recipients that lead nowhere.", "reason")
_HELD_BACK = counter(
    "posthouse_policy_suppressed_total", "Recipients held back by the suppression list.", "reason"
)
_HELD = counter("posthouse_policy_held_total", "Messages that wait for an operator.")
_RETURNED = counter("posthouse_policy_returned_total", "Mails that came back, noted to be read.")
log = get_logger()

Resolve = Callable[[Sequence[str]], Awaitable[dict[str, Found]]]
HeldBack = Callable[[Sequence[Pair]], Awaitable[Mapping[Pair, Reason]]]
Lent = Callable[[Sequence[str]], Awaitable[Mapping[str, Grants]]]


class Roads(Protocol):
    """What routing needs of the bus."""

    async def send(self, road: str, envelopes: Sequence[Envelope]) -> None:
        """Return when all are confirmed; raise `Unavailable`."""


class Outbox(Protocol):
    """Publishes what is committed, behind our back."""

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Publish soon; never fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """The handler of the road ``mail.inbound``."""

    pool: Pool
    resolve: Resolve
    lent: Lent
    held_back: HeldBack
    roads: Roads
    outbox: Outbox
    reporter: Reporter
    rewriter: Rewriter
    returns: ReturnPaths
    feedback: str = ""
    postmaster: str = ""
    ownership: Ownership = "strict"
    late: LateJudging | None = None
    maps: CurrentMaps = no_maps
    outgoing: Outgoing | None = None

    async def route(self, batch: Sequence[Inbound]) -> Sequence[Move]:
        """Send all recipients of ``batch`` on their way.

        Raises `Unavailable`; then nothing is acknowledged and all of it is done again.
        """
        judged = await self.late.sort(batch) if self.late else Sorted(going=list(batch))
        if judged.going:
            await self._route(judged.going, judged.refused)
        return [judged.moves.get(mail.id, Ack()) for mail in batch]

    async def _route(self, batch: Sequence[Inbound], refused: Mapping[UUID, Dead]) -> None:
        await self._note_returned(batch)
        plans = await self._hold_back(batch, await self._plans(batch, refused))
        if self.outgoing:
            plans = await self.outgoing.hold(batch, plans)
        decisions = [
            (inbound.id, decision)
            for inbound, made in zip(batch, plans, strict=True)
            for decision in with_copies(
                await self._with_receipts(inbound, made.decisions), inbound.recipients, made.copies
            )
        ]
        holds = {
            mail.id: reason
            for mail, made in zip(batch, plans, strict=True)
            if (reason := made.hold or mail.wait)
        }
        standings = await ledger.routed(self.pool, decisions, holds)
        _note_held(holds)
        if self.outgoing:
            await self.outgoing.count(batch, plans)
        onward: list[Envelope] = []
        for inbound, made in zip(batch, plans, strict=True):
            for envelope in envelopes_of(facts_of(inbound), standings.get(inbound.id, ())):
                alive, dead = _parted(envelope)
                onward.extend(_portions(alive))
                if dead is not None:
                    await self._bounce(dead, made)
        await self._publish(onward)

    async def plans(self, batch: Sequence[Inbound]) -> list[Plan]:
        """Return where the recipients of ``batch`` would be sent; nothing is recorded."""
        return await self._hold_back(batch, await self._plans(batch, {}))

    async def _plans(self, batch: Sequence[Inbound], refused: Mapping[UUID, Dead]) -> list[Plan]:
        """Ask the directory, one round trip for all, until nothing is missing."""
        rules = Rules(
            rewriter=self.rewriter,
            returns=self.returns,
            today=datetime.now(UTC).date(),
            hostname=self.reporter.hostname,
            postmaster=self.postmaster,
            maps=await self.maps(),
        )
        keys = {key for mail in batch for key in first_keys(mail.recipients, rules.maps)}
        keys.update(key for mail in batch for key in rights_keys(mail.sender, mail.auth))
        known = await self.resolve(sorted(keys))
        grants = await self._grants(batch)
        for _ in range(MAX_ROUNDS):
            plans = [
                _refused(mail, refused[mail.id])
                if mail.id in refused
                else self._plan(mail, known, rules, grants)
                for mail in batch
            ]
            missing = frozenset[str]().union(*(made.missing for made in plans))
            if not missing:
                return plans
            known |= await self.resolve(sorted(missing))
        raise ValueError("the directory does not come to an end")

    async def _note_returned(self, batch: Sequence[Inbound]) -> None:
        """Note which mails came back, before they are sent on: so none is forgotten."""
        today = datetime.now(UTC).date()
        reports = reports_in(batch, self.returns, today, self.feedback.lower())
        if reports:
            await note_incoming(self.pool, reports)
            _RETURNED.inc(len(reports))

    async def _hold_back(self, batch: Sequence[Inbound], plans: list[Plan]) -> list[Plan]:
        """Leave out recipients outside that stand on the suppression list."""
        pairs = going_out(batch, plans)
        held = await self.held_back(pairs) if pairs else {}
        if not held:
            return plans
        for reason in held.values():
            _HELD_BACK.labels(reason).inc()
        return [hold_back(mail, made, held) for mail, made in zip(batch, plans, strict=True)]

    async def _grants(self, batch: Sequence[Inbound]) -> Mapping[str, Grants]:
        """Return what is lent to the accounts that sent as somebody else."""
        others = {mail.auth for mail in batch if not is_plain(mail.sender, mail.auth)}
        return await self.lent(sorted(others)) if others else {}

    def _plan(
        self, mail: Inbound, known: Known, rules: Rules, grants: Mapping[str, Grants]
    ) -> Plan:
        """Decide for one message; one whose sender is not the account's own goes nowhere."""
        lent = grants.get(mail.auth, NO_GRANTS)
        if may_send(mail.sender, mail.auth, known, lent, self.ownership):
            return plan(mail.recipients, mail.sender, known, rules, mail.auth)
        return turn_back(mail.recipients, mail.auth)

    async def _with_receipts(
        self, inbound: Inbound, decisions: Sequence[Decision]
    ) -> Sequence[Decision]:
        """Store the reports that tell of groups and aliases, where the sender wants them."""
        if not any(to.notify.success for to in inbound.recipients):
            return decisions
        named = {to.address.lower() for to in inbound.recipients}
        reported: list[Decision] = []
        for to, decision in zip(inbound.recipients, decisions, strict=True):
            action = receipt_of(to, decision, named)
            if action is not None and isinstance(decision, Expanded):
                orcpt = to.notify.orcpt
                fate = Fate(address=to.address, status=OK, orcpt=orcpt, action=action)
                report = await prepare_report(self.reporter, inbound, [fate])
                reported.append(replace(decision, receipt=report))
            else:
                reported.append(decision)
        return reported

    async def _publish(self, envelopes: Iterable[Envelope]) -> None:
        """Put all on their roads, those of one road together."""
        roads: dict[str, list[Envelope]] = {}
        for envelope in envelopes:
            roads.setdefault(road_of(envelope), []).append(envelope)
            kind = "local" if isinstance(envelope, Local) else "remote"
            _ROUTED.labels(kind).inc(len(envelope.recipients))
        for road, group in roads.items():
            await self.roads.send(road, group)

    async def _bounce(self, message: Local, made: Plan) -> None:
        """Settle recipients that lead nowhere, and tell the sender of that branch."""
        whys = [made.dead.get(r.address.lower(), NOBODY) for r in message.recipients]
        pairs = list(zip(message.recipients, whys, strict=True))
        outcomes = endings(
            self.reporter,
            message,
            [Bounced(n=to.n, status=why.status, reply=why.text) for to, why in pairs],
        )
        fates = [
            Fate(address=to.address, status=why.status, reply=why.text, orcpt=to.notify.orcpt)
            for to, why in pairs
            if to.notify.failure
        ]
        report = await prepare_report(self.reporter, message, fates)
        new = [report] if report else []
        changed = await ledger.settle(self.pool, message.id, outcomes, message.attempts, new)
        for to, why in pairs:
            if to.n in changed:
                _DEAD.labels(why.status.dotted).inc()
                log.info(
                    "recipient bounced", envelope=message.id, recipient=to.address, reply=why.text
                )
        if changed and report:
            await self.outbox.publish([report.envelope])


def _note_held(holds: Mapping[UUID, str]) -> None:
    for ident, reason in holds.items():
        _HELD.inc()
        log.info("message held", envelope=ident, reason=reason)


def _refused(mail: Inbound, why: Dead) -> Plan:
    """Let nobody have a message that content checks refuse, and the account be told."""
    return turn_back(mail.recipients, mail.auth if mail.sender else None, why)


def _parted(envelope: Envelope) -> tuple[Envelope | None, Local | None]:
    """Part those with a mailbox from those that lead nowhere (recorded without an account)."""
    if not isinstance(envelope, Local):
        return envelope, None
    alive = tuple(r for r in envelope.recipients if r.account)
    dead = tuple(r for r in envelope.recipients if not r.account)
    return (
        msgspec.structs.replace(envelope, recipients=alive) if alive else None,
        msgspec.structs.replace(envelope, recipients=dead) if dead else None,
    )


def _portions(envelope: Envelope | None) -> Iterator[Envelope]:
    """Yield ``envelope`` in portions that a server outside can take in one transaction."""
    if not isinstance(envelope, Remote) or len(envelope.recipients) <= REMOTE_RECIPIENTS_MAX:
        if envelope is not None:
            yield envelope
        return
    for at in range(0, len(envelope.recipients), REMOTE_RECIPIENTS_MAX):
        some = envelope.recipients[at : at + REMOTE_RECIPIENTS_MAX]
        yield msgspec.structs.replace(envelope, recipients=some)
