"""Dead letters ended without delivery; their dead recipients are discarded by a named rule.

Recipients that go on by another copy of the envelope are none of the letter's. A letter that cannot
be read ends as well.
"""

from __future__ import annotations

from posthouse.mail.outcome import Discarded
from posthouse.storage import audit, ledger
from posthouse.storage.dead_letters import DeadLetter, dead_letters, end_dead
from posthouse.storage.pool import transaction
from posthouse.telemetry.logs import get_logger
from postmaster.dead_turns import Desk, Order, Turn, Walk
from postmaster.deadletters import ended, mark_dead, places_of

DISCARD_RULE = "dead letter discarded"  # the named rule of promise 4

log = get_logger()


async def step(desk: Desk, order: Order, walk: Walk, limit: int) -> Turn:
    """End the next ``limit`` letters, one after the other.

    Raises:
        Unavailable: If PostgreSQL does not answer; what was ended is ended.
    """
    found = await dead_letters(desk.pool, order.choice, walk.after, limit)
    letters = [letter for letter in found if letter.id <= walk.through]
    changed = [letter for letter in letters if await _discard(desk, order, walk, letter)]
    return Turn(
        seen=len(letters),
        last=letters[-1].id if letters else walk.after,
        changed=tuple(changed),
    )


async def _discard(desk: Desk, order: Order, walk: Walk, letter: DeadLetter) -> bool:
    """End a letter; False if somebody else ended it meanwhile."""
    places = places_of(letter)
    async with transaction(desk.pool) as tx:
        if not await end_dead(tx, [letter.id], "discarded", order.text):
            return False
        await mark_dead(tx, [letter])
        looked = await ledger.look(tx, places, lock=True)
        dead = [n for (_, n), each in looked.items() if each.state == "dead"]
        if dead:
            outcomes = [Discarded(n=n, rule=DISCARD_RULE) for n in dead]
            await ledger.settle(tx, places[0][0], outcomes, letter.attempts)
        await audit.count(tx, walk.audit, changed=1)
    ended.labels("discarded").inc()
    log.warning("dead letter discarded", letter=letter.id, note=order.text)
    return True
