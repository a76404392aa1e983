"""What was found of a message's content, where that is done after it was accepted.

The first verdict stands: whoever comes later reads it, and decides nothing anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from posthouse.mail.ids import day_of
from posthouse.storage.pool import Queries

_READ = """
    select e.id, e.client, e.verdict, coalesce(e.unjudged, false) as unjudged
      from unnest($1::date[], $2::uuid[]) as k (day, id) join envelopes e using (day, id)
"""
_RECORD = """
    update envelopes set verdict = $3::jsonb, junk = $4, unjudged = null
     where day = $1 and id = $2 and unjudged
 returning id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the ledger says of a message's content.

    Attributes:
        client: Who brought the message: address and name.
        verdict: What was found, in JSON; empty for nothing.
        is_open: Nobody has judged it.
    """

    client: str
    verdict: str
    is_open: bool


async def verdicts(queries: Queries, idents: Sequence[UUID]) -> dict[UUID, Standing]:
    """Return how these messages stand; raise `Unavailable`."""
    rows = await queries.fetch(_READ, [day_of(ident) for ident in idents], list(idents))
    return {
        row["id"]: Standing(
            client=row["client"], verdict=row["verdict"] or "", is_open=row["unjudged"]
        )
        for row in rows
    }


async def record_verdict(queries: Queries, ident: UUID, verdict: str, *, junk: bool) -> bool:
    """Record what was found; False if somebody has recorded a verdict before."""
    key = (day_of(ident), ident)
    return await queries.fetchrow(_RECORD, *key, verdict or None, junk or None) is not None
