"""Releasing: what was deferred for a domain outside is due at once, because its site has come up.

Nothing else changes: the copy of the envelope that waits with the broker finds the work done when
its time comes, as after any doubled envelope (`delivery_remote.copies`).
"""

from __future__ import annotations

from uuid import UUID

from posthouse.mail.envelope import Remote
from posthouse.storage.ledger.publishing import unsettled_envelopes
from posthouse.storage.pool import Pool

# By the index of what waits; whoever settles a row right now keeps it.
_RELEASE = """
    with due as (
        select day, envelope, n from recipients
         where next_attempt_at > now() and state = 'deferred' and road = 'remote'
           and (domain = $1 or ($2 and right(domain, length($1) + 1) = '.' || $1))
         order by next_attempt_at limit $3 for no key update skip locked
    )
    update recipients r set next_attempt_at = now() from due d
     where r.day = d.day and r.envelope = d.envelope and r.n = d.n
 returning r.envelope, r.domain
"""


async def release(pool: Pool, domain: str, *, below: bool, limit: int) -> list[Remote]:
    """Make what is deferred for ``domain`` due; return the envelopes that are to be published.

    Args:
        pool: PostgreSQL.
        domain: In the form of `Remote.domain`.
        below: Of its subdomains, too.
        limit: The most recipients; those that would have been tried first go first.
    """
    rows = await pool.fetch(_RELEASE, domain, below, limit)
    released: set[tuple[UUID, str]] = {(row["envelope"], row["domain"]) for row in rows}
    found = await unsettled_envelopes(pool, sorted({ident for ident, _ in released}))
    return [
        envelope
        for envelope in found
        if isinstance(envelope, Remote) and (envelope.id, envelope.domain) in released
    ]
