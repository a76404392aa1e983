"""Dead letters back to their senders, by the reports that all stations write.

The station that gave up is not asked again: its fault may be why the letter is here. So it can be
done on every road, also where the message's octets are gone; the sender is told without them.

    what lies dead ─▶ reports stored ─▶ still so? ledger, report, letter, audit: one commit ─▶ published
                                           └ no: the letter stays
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from posthouse.mail.envelope import Envelope, Inbound
from posthouse.mail.outcome import Bounced
from posthouse.mail.report import Fate
from posthouse.mail.status import Status
from posthouse.runtime.bounces import Reporter, endings, prepare_report
from posthouse.storage import audit, ledger
from posthouse.storage.dead_letters import Choice, DeadLetter, dead_letters, end_dead, take_dead
from posthouse.storage.ledger import NewMail, Place, Settlement
from posthouse.storage.ledger.settling import settle_all
from posthouse.storage.pool import Tx, transaction
from postmaster.dead_turns import Desk, Order, Turn, Walk
from postmaster.deadletters import (
    Busy,
    Kept,
    Outlived,
    Prospect,
    Ready,
    ended,
    mark_dead,
    places_of,
    prospect_of,
)
from postmaster.duties.sweeper import send_all
from postmaster.replaying import WHY_OUTLIVED, claimed

RETURNED = Status(550, (5, 7, 1))  # RFC 3463 §3.8: an operator does not want it delivered


@dataclass(frozen=True, slots=True)
class _Gone:
    """Somebody else has ended the letter meanwhile."""


@dataclass(slots=True)
class _Tally:
    """What became of the letters of one step so far."""

    changed: list[DeadLetter] = field(default_factory=list)
    outlived: list[DeadLetter] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    busy: int = 0


async def step(desk: Desk, order: Order, walk: Walk, limit: int) -> Turn:
    """Return the next ``limit`` letters to their senders, one after the other.

    Raises:
        Unavailable: If PostgreSQL, the object store or the broker does not answer; what was
            changed is changed, and the sweeper publishes its reports.
    """
    found = await dead_letters(desk.pool, order.choice, walk.after, limit)
    letters = [letter for letter in found if letter.id <= walk.through]
    tally = _Tally()
    for letter in letters:
        match await _return(desk, order, walk, letter):
            case Ready():
                tally.changed.append(letter)
            case Outlived():
                tally.outlived.append(letter)
            case Kept() as kept:
                tally.kept.append(kept)
            case Busy():
                tally.busy += 1
            case _Gone():
                pass
    return Turn(
        seen=len(letters),
        last=letters[-1].id if letters else walk.after,
        changed=tuple(tally.changed),
        outlived=tuple(tally.outlived),
        kept=tuple(tally.kept),
        busy=tally.busy,
    )


async def _return(desk: Desk, order: Order, walk: Walk, letter: DeadLetter) -> Prospect | _Gone:
    await mark_dead(desk.pool, [letter])
    places = places_of(letter)
    prospect = prospect_of(letter, order.verb, await ledger.look(desk.pool, places))
    if isinstance(prospect, Ready):
        settlements = await _settlements(desk, prospect.places, order.text)
        return await _end(desk, order, walk, (letter, prospect.places, settlements))
    if isinstance(prospect, Outlived):
        await end_dead(desk.pool, [letter.id], "outlived", WHY_OUTLIVED)
        ended.labels("outlived").inc()
    return prospect


async def _settlements(desk: Desk, places: Sequence[Place], text: str) -> list[Settlement]:
    """Store the reports on these recipients, and return what the ledger is to be told."""
    envelopes = await ledger.all_envelopes_at(desk.pool, places, dead=True)
    return [await _settlement(desk.reporter, envelope, text) for envelope in envelopes]


async def _settlement(reporter: Reporter, envelope: Envelope, text: str) -> Settlement:
    bounced = [Bounced(n=each.n, status=RETURNED, reply=text) for each in envelope.recipients]
    fates = [
        Fate(address=each.address, status=RETURNED, reply=text, orcpt=each.notify.orcpt)
        for each in envelope.recipients
        if each.notify.failure  # RFC 3461 §5.2.6
    ]
    report = await prepare_report(reporter, envelope, fates)
    return Settlement(
        id=envelope.id,
        outcomes=endings(reporter, envelope, bounced),
        attempts=0 if isinstance(envelope, Inbound) else envelope.attempts,
        new=(report,) if report else (),
    )


async def _end(
    desk: Desk,
    order: Order,
    walk: Walk,
    work: tuple[DeadLetter, tuple[Place, ...], list[Settlement]],
) -> Prospect | _Gone:
    """End a letter and its recipients, if all is as it was when the reports were written."""
    letter, dead, settlements = work
    async with transaction(desk.pool) as tx:
        if not await take_dead(tx, Choice(ids=(letter.id,)), 0, letter.id, 1):
            return _Gone()
        if not await _is_still(tx, letter, dead):
            await audit.count(tx, walk.audit, changed=0, busy=1)
            return Busy()
        done = await settle_all(tx, settlements)
        reports = [mail for settled in done for mail in settled.entered]
        await ledger.note(tx, dead, "returned", walk.detail(order))
        await end_dead(tx, [letter.id], "bounced", order.text)
        await audit.count(tx, walk.audit, changed=1)
    ended.labels("bounced").inc()
    await _publish(desk, reports)
    return Ready(dead)


async def _is_still(tx: Tx, letter: DeadLetter, dead: tuple[Place, ...]) -> bool:
    """True if the same recipients lie dead, and nobody works on a copy; so until ``tx`` ends."""
    busy = await claimed(tx, dead)
    looked = await ledger.look(tx, places_of(letter), lock=True)
    return prospect_of(letter, "bounce", looked, busy) == Ready(dead)


async def _publish(desk: Desk, reports: Sequence[NewMail]) -> None:
    if reports:
        await send_all(desk.publisher, [report.envelope for report in reports])
        await ledger.published(desk.pool, [report.id for report in reports])
