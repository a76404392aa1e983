"""The undertaker: takes dead letters from their queues into PostgreSQL.

There they can be searched, grouped and replayed, and outlive the broker. Every pod does it: a
letter that is filed twice is filed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from posthouse.bus.undertaking import Burial
from posthouse.storage import ledger
from posthouse.storage.dead_letters import NewDeadLetter, file_dead
from posthouse.storage.pool import Pool, Tx, transaction
from posthouse.telemetry import metrics
from posthouse.telemetry.logs import get_logger

_filed = metrics.counter(
    "posthouse_postmaster_dead_letters_total",
    "Dead letters filed, by the road they died on",
    "road",
)

log = get_logger()


class Undertaker:
    """Files what the dead queues hold."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def file(self, burials: Sequence[Burial]) -> None:
        """File letters and mark their recipients dead, all or nothing.

        A letter that was filed before changes nothing: it may have been replayed meanwhile.

        Raises:
            Unavailable: If PostgreSQL does not answer.
        """
        async with transaction(self._pool) as tx:
            fresh = [burial for burial in sorted(burials, key=_key) if await _file(tx, burial)]
        for burial in fresh:
            _filed.labels(burial.road).inc()
            log.error(
                "dead letter filed",
                road=burial.road,
                envelope=burial.envelope and str(burial.envelope.id),
                reason=burial.obituary.reason,
                fingerprint=burial.obituary.fingerprint,
            )


def _key(burial: Burial) -> UUID:
    """Rows are locked in key order, as everywhere in the ledger."""
    return burial.envelope.id if burial.envelope else UUID(int=0)


async def _file(tx: Tx, burial: Burial) -> bool:
    if await file_dead(tx, letter_of(burial)) is None:
        return False
    if burial.envelope is not None:
        ns = [recipient.n for recipient in burial.envelope.recipients]
        await ledger.mark_dead(tx, burial.envelope.id, burial.obituary.reason, ns)
    return True


def letter_of(burial: Burial) -> NewDeadLetter:
    """Return a burial as it is filed."""
    told = burial.obituary
    return NewDeadLetter(
        road=burial.road,
        service=told.service,
        reason=told.reason,
        exception=told.exception,
        fingerprint=told.fingerprint,
        envelope=burial.envelope.id if burial.envelope else None,
        body=burial.body,
        attempts=told.failures,
        first_failed=told.first_failed,
        last_failed=told.last_failed,
    )
