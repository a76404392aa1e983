"""Releasing: what was deferred for a domain outside is due at once, because its site is there.

Nothing else changes: the copy of the envelope that waits with the broker finds the work done when
its time comes, as after any doubled envelope (`delivery_remote.copies`). So nobody notes that the
released ones are to be published: who dies before that has changed nothing but a time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from posthouse.mail.envelope import Remote
from posthouse.storage.ledger.choosing import Choice, Walk, choose
from posthouse.storage.ledger.deciding import hasten, take
from posthouse.storage.ledger.republishing import envelopes_at
from posthouse.storage.pool import Pool, transaction

BATCH = 1000  # recipients looked at in one transaction


@dataclass(frozen=True, slots=True)
class Released:
    """What one portion brought.

    Attributes:
        envelopes: Publish these.
        recipients: How many were made due.
        rest: Where the next portion begins; None at the end.
    """

    envelopes: tuple[Remote, ...]
    recipients: int
    rest: Walk | None


async def release(pool: Pool, domain: str, *, below: bool, limit: int) -> list[Remote]:
    """Make what is deferred for ``domain`` due; return the envelopes that are to be published.

    Args:
        pool: PostgreSQL.
        domain: In the form of `Remote.domain`.
        below: Of its subdomains, too.
        limit: The most recipients; the oldest mail goes first.
    """
    found: list[Remote] = []
    for name in (domain, f".{domain}") if below else (domain,):
        walk: Walk | None = Walk(began=datetime.now(UTC))
        while walk is not None and limit > 0:
            portion = await release_some(pool, name, walk, min(limit, BATCH))
            found += portion.envelopes
            limit, walk = limit - portion.recipients, portion.rest
    return found


async def release_some(pool: Pool, domain: str, walk: Walk, limit: int) -> Released:
    """Look at the next ``limit`` recipients of ``domain`` and make due what waits for its time."""
    async with transaction(pool) as tx:
        chosen = await choose(tx, Choice(domain=domain, state="deferred"), walk, limit)
        free = await take(tx, chosen)
        changed = await hasten(tx, [each.place for each in free])
    rest = replace(walk, after=chosen[-1].place) if len(chosen) == limit else None
    envelopes = await envelopes_at(pool, changed.due) if changed.due else []
    return Released(tuple(envelopes), len(changed.due), rest)
