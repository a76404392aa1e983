"""Orders on dead letters, and the turns in which they are carried out: the values."""

from __future__ import annotations

from dataclasses import dataclass, replace

from posthouse.bus.publisher import Publisher
from posthouse.runtime.bounces import Reporter
from posthouse.storage import audit
from posthouse.storage.dead_letters import Choice, DeadLetter
from posthouse.storage.ledger import Place
from posthouse.storage.pool import Pool
from postmaster.deadletters import Kept, Verb


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What orders are carried out with.

    Attributes:
        pool: PostgreSQL.
        publisher: Puts envelopes on roads.
        reporter: Writes reports to senders.
    """

    pool: Pool
    publisher: Publisher
    reporter: Reporter


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What an operator decides.

    Attributes:
        verb: What is done.
        choice: Of which letters.
        words: The choice as one would type it.
        actor: Who decides, as their client says.
        text: The next hop of a reroute, or the reason of a bounce.
        limit: The most letters; None for all.
        rate: Letters a second.
        watch: Seconds that it is waited at the end, whether some come back.
    """

    verb: Verb
    choice: Choice
    words: str
    actor: str
    text: str = ""
    limit: int | None = None
    rate: float
    watch: float = 0.0

    def intent(self, found: int) -> audit.Intent:
        """Return it as the audit notes it."""
        return audit.Intent(
            actor=self.actor,
            action=f"dead {self.verb}",
            chosen=self.words,
            detail=self.text,
            found=found,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """A walk through the letters that an order concerns.

    Attributes:
        audit: The number of its entry.
        through: The highest number of a letter when it began; later ones are not of it.
        after: The last letter that it has looked at.
    """

    audit: int
    through: int
    after: int = 0

    def detail(self, order: Order) -> str:
        """Return what the trace says of each recipient."""
        said = f"by {order.actor}, audit {self.audit}"
        return f"{said}: {order.text}" if order.text else said


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one step brought.

    Attributes:
        seen: How many letters were looked at.
        last: The number of the last of them.
        changed: The letters that went on.
        outlived: The letters for which nothing was left to do.
        kept: Those that stay.
        busy: How many stay because somebody works on a copy.
        places: The recipients that travel again.
    """

    seen: int
    last: int
    changed: tuple[DeadLetter, ...] = ()
    outlived: tuple[DeadLetter, ...] = ()
    kept: tuple[Kept, ...] = ()
    busy: int = 0
    places: tuple[Place, ...] = ()

    def rest(self, walk: Walk, limit: int) -> Walk | None:
        """Return the walk from here on; None if there were less than ``limit`` letters left."""
        return replace(walk, after=self.last) if self.seen == limit else None
