"""Mail for the ledger, and looks at its rows."""

from __future__ import annotations

from uuid import UUID

from posthouse.mail.envelope import Inbound, InboundRecipient
from posthouse.mail.handling import DEFAULT, PLAIN, Handling, Notify
from posthouse.mail.ids import day_of, new_id
from posthouse.storage.ledger import NewMail, NewRecipient
from posthouse.storage.pool import Pool, Row


def a_mail(
    *addresses: str,
    ident: UUID | None = None,
    sender: str = "carl@far.test",
    handling: Handling = PLAIN,
    notify: Notify = DEFAULT,
) -> NewMail:
    """Return a mail to ``addresses`` (anna if none), numbered from 0."""
    made = ident or new_id()
    to = addresses or ("anna@example.test",)
    return NewMail(
        id=made,
        origin="smtp",
        sender=sender,
        size=4096,
        client="192.0.2.1 far.test",
        message_id=f"<{made}@far.test>",
        recipients=tuple(NewRecipient(n, address, notify) for n, address in enumerate(to)),
        handling=handling,
        envelope=Inbound(
            id=made,
            sender=sender,
            size=4096,
            handling=handling,
            recipients=tuple(
                InboundRecipient(n=n, address=a, notify=notify) for n, a in enumerate(to)
            ),
        ),
    )


async def rows_of(pool: Pool, ident: UUID) -> dict[int, Row]:
    """Return the recipients' rows of a message by their number."""
    rows = await pool.fetch(
        "select * from recipients where day = $1 and envelope = $2", day_of(ident), ident
    )
    return {row["n"]: row for row in rows}


async def states_of(pool: Pool, ident: UUID) -> dict[int, str]:
    """Return the states of a message's recipients by their number."""
    return {n: row["state"] for n, row in (await rows_of(pool, ident)).items()}
