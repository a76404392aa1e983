"""Finding messages by what somebody on the telephone knows of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from posthouse.mail.ids import day_of
from posthouse.storage.pool import Queries

# Ids sort by time: newest first, and the last one of a page leads to the next page.
_FIND = """
    select e.id, e.accepted_at, e.sender, e.size, e.message_id,
           array(select r.address from recipients r
                  where r.day = e.day and r.envelope = e.id and r.parent is null
                  order by r.n limit 20) as recipients
      from ({chosen}) as chosen join envelopes e using (day, id)
     order by e.id desc
"""
_BY_MESSAGE_ID = _FIND.format(
    chosen="""
        select day, id from envelopes
         where message_id = $1 and message_id <> '' and id < $2
         order by id desc limit $3
    """
)
_BY_SENDER = _FIND.format(
    chosen="""
        select day, id from envelopes where sender = $1 and id < $2
         order by id desc limit $3
    """
)
_BY_RECIPIENT = _FIND.format(
    chosen="""
        select day, envelope as id from recipients where address = $1 and envelope < $2
         group by envelope, day order by envelope desc limit $3
    """
)
# The day leads the key and follows from the id: in this order only the last partitions are read.
_NEWEST = _FIND.format(
    chosen="""
        select day, id from envelopes where (day, id) < ($1, $2)
         order by day desc, id desc limit $3
    """
)
_END_OF_TIME = UUID(int=(1 << 128) - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundMail:
    """A message that fits.

    Attributes:
        id: The message.
        accepted_at: When it was accepted (UTC).
        sender: The reverse path.
        size: Octets.
        message_id: Its Message-ID field.
        recipients: As accepted, the first 20.
    """

    id: UUID
    accepted_at: datetime
    sender: str
    size: int
    message_id: str
    recipients: tuple[str, ...]


async def find(
    queries: Queries,
    *,
    message_id: str | None = None,
    sender: str | None = None,
    recipient: str | None = None,
    after: UUID | None = None,
    limit: int = 50,
) -> tuple[FoundMail, ...]:
    """Return up to ``limit`` messages, newest first, older than ``after``.

    By one of Message-ID, sender (as written) and recipient (as accepted, or after aliases), or all
    messages if none is given. Raises `ValueError` for more than one.
    """
    given: list[tuple[str, object]] = [
        (sql, value)
        for sql, value in (
            (_BY_MESSAGE_ID, message_id),
            (_BY_SENDER, sender),
            (_BY_RECIPIENT, recipient),
        )
        if value is not None
    ]
    if len(given) > 1:
        raise ValueError("give one of message_id, sender and recipient at most")
    sql, value = given[0] if given else (_NEWEST, day_of(after) if after else date.max)
    rows = await queries.fetch(sql, value, after or _END_OF_TIME, limit)
    return tuple(FoundMail(**{**dict(row), "recipients": tuple(row["recipients"])}) for row in rows)
