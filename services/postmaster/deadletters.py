"""Ending dead letters: back to their road, or discarded. Both may be repeated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from posthouse.bus.publisher import Parcel, Publisher
from posthouse.bus.topology import road_of
from posthouse.bus.wire import decode
from posthouse.mail.envelope import Envelope
from posthouse.mail.errors import BadEnvelope
from posthouse.mail.outcome import Discarded
from posthouse.storage import ledger
from posthouse.storage.dead_letters import DeadLetter, end_dead
from posthouse.storage.pool import Pool, transaction
from posthouse.telemetry import metrics
from posthouse.telemetry.logs import get_logger

DISCARD_RULE = "dead letter discarded"  # the named rule of promise 4

_ended = metrics.counter(
    "posthouse_postmaster_dead_letters_ended_total", "Dead letters ended by an operator", "how"
)

log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A letter that could not be replayed.

    Attributes:
        id: Its number.
        reason: Why not.
    """

    id: int
    reason: str


def readable(letter: DeadLetter) -> Envelope | None:
    """Return the envelope in a letter; None if this version cannot read it."""
    try:
        return decode(letter.body)
    except BadEnvelope:
        return None


def sort_out(letters: Sequence[DeadLetter]) -> tuple[list[DeadLetter], list[Kept]]:
    """Decide which letters can travel again: those whose envelope can be read."""
    can = [letter for letter in letters if readable(letter) is not None]
    kept = [
        Kept(id=letter.id, reason="its envelope cannot be read")
        for letter in letters
        if readable(letter) is None
    ]
    return can, kept


async def replay(pool: Pool, publisher: Publisher, letter: DeadLetter) -> None:
    """Put a letter's envelope back on its road; nothing is delivered twice (promise 2).

    The recipients live again before it is published, and the letter ends after that: whatever
    breaks off in between leaves it waiting, to be replayed again.

    Raises:
        BadEnvelope: If it cannot be read.
        Unavailable: If PostgreSQL or the broker does not answer.
    """
    envelope = decode(letter.body)
    await ledger.revive(pool, envelope.id, _numbers(envelope))
    await publisher.dispatch([Parcel.on_road(road_of(envelope), letter.body)])
    await end_dead(pool, letter.id, "replayed")
    _ended.labels("replayed").inc()
    log.info("dead letter replayed", letter=letter.id, envelope=str(envelope.id))


async def discard(pool: Pool, letter: DeadLetter, note: str) -> bool:
    """End a letter without delivery, and its open recipients as discarded by a named rule.

    Returns False if somebody else ended it meanwhile.

    Raises:
        Unavailable: If PostgreSQL does not answer.
    """
    envelope = readable(letter)
    async with transaction(pool) as tx:
        if not await end_dead(tx, letter.id, "discarded", note):
            return False
        if envelope is not None:
            outcomes = [Discarded(n=n, rule=DISCARD_RULE) for n in _numbers(envelope)]
            await ledger.settle(tx, envelope.id, outcomes, letter.attempts)
    _ended.labels("discarded").inc()
    log.warning("dead letter discarded", letter=letter.id, note=note)
    return True


def _numbers(envelope: Envelope) -> list[int]:
    return [recipient.n for recipient in envelope.recipients]
