"""Recipients that refused for good: counted, and put on the suppression list when it is too much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from posthouse.mail.envelope import Remote
from posthouse.mail.outcome import Bounced, Outcome
from posthouse.mime.returned import is_hard
from posthouse.storage.pool import Pool
from posthouse.storage.suppressing import Refusal, Terms, note_hard_bounce
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

log = get_logger()
_suppressed = counter(
    "posthouse_remote_suppressed_total", "Recipients put on the suppression list by hard bounces"
)


@dataclass(frozen=True, slots=True)
class Refusals:
    """Counts for the senders of this house.

    Attributes:
        pool: Where the list is.
        terms: When the house suppresses by itself.
    """

    pool: Pool
    terms: Terms

    async def note(self, envelope: Remote, outcomes: Sequence[Outcome]) -> None:
        """Count those of ``outcomes`` that say that nobody is there; raise `Unavailable`."""
        addresses = {to.n: to.address for to in envelope.recipients}
        for outcome in outcomes:
            if not (envelope.sender and isinstance(outcome, Bounced)):
                continue
            if not is_hard(outcome.status.dotted):
                continue
            refusal = Refusal(
                sender=envelope.sender,
                address=addresses[outcome.n],
                source=envelope.id,
                why=f"{outcome.status} {outcome.reply}",
            )
            if await note_hard_bounce(self.pool, refusal, self.terms):
                _suppressed.inc()
                log.info("recipient suppressed", recipient=refusal.address, reason=refusal.why)
