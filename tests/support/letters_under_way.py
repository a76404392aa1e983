"""Mail in the ledger, as ingress leaves it: for tests of what comes after."""

from __future__ import annotations

from posthouse.mail.envelope import Inbound, InboundRecipient
from posthouse.mail.ids import new_id
from posthouse.storage.ledger import NewMail, NewRecipient


def new_mail(*recipients: str, sender: str = "eve@far.test", message_id: str = "") -> NewMail:
    """Return a mail for ``recipients`` that was just accepted by SMTP."""
    ident = new_id()
    envelope = Inbound(
        id=ident,
        sender=sender,
        size=1234,
        recipients=tuple(
            InboundRecipient(n=n, address=address) for n, address in enumerate(recipients)
        ),
    )
    return NewMail(
        id=ident,
        origin="smtp",
        sender=sender,
        size=1234,
        message_id=message_id,
        recipients=tuple(NewRecipient(n, address) for n, address in enumerate(recipients)),
        envelope=envelope,
    )
