"""A post office for tests of routing: mail enters the ledger, what goes on is written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from policy_engine.routing import Routing
from posthouse.blobs import Blobs
from posthouse.mail.envelope import Envelope, Inbound, InboundRecipient
from posthouse.mail.errors import Unavailable
from posthouse.mail.handling import DEFAULT, PLAIN, Handling, Notify
from posthouse.mail.ids import new_id
from posthouse.mail.return_path import ReturnPaths
from posthouse.storage.ledger import NewMail, NewRecipient, enter
from posthouse.storage.pool import Pool

RETURNS = ReturnPaths(b"fedcba9876543210")


@dataclass(kw_only=True)
class Post:
    """What a test holds in hand.

    Attributes:
        accounts: Numbers by address.
        sent: What went on the roads, by road, in order.
        told: What the outbox was given.
        is_broker_away: Then `send` raises `Unavailable`.
    """

    pool: Pool
    blobs: Blobs
    accounts: dict[str, int]
    routing: Routing = field(init=False)
    sent: list[tuple[str, Envelope]] = field(default_factory=list)
    told: list[Envelope] = field(default_factory=list)
    is_broker_away: bool = False

    async def send(self, road: str, envelopes: Sequence[Envelope]) -> None:
        if self.is_broker_away:
            raise Unavailable("no broker")
        self.sent.extend((road, envelope) for envelope in envelopes)

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        self.told.extend(envelopes)

    async def accepted(
        self,
        *recipients: str,
        sender: str = "eve@far.test",
        auth: str = "",
        notify: Notify = DEFAULT,
        handling: Handling = PLAIN,
        unjudged: bool = False,
        junk: bool = False,
    ) -> Inbound:
        """Enter a message into the ledger, as ingress does."""
        octets = b"Subject: hi\r\n\r\nbody\r\n"
        inbound = Inbound(
            id=new_id(),
            sender=sender,
            size=len(octets),
            auth=auth,
            handling=handling,
            unjudged=unjudged,
            junk=junk,
            recipients=tuple(
                InboundRecipient(n=n, address=address, notify=notify)
                for n, address in enumerate(recipients)
            ),
        )
        await self.blobs.put(inbound.blob, octets)
        mail = NewMail(
            id=inbound.id, origin="smtp", sender=sender, size=len(octets),
            auth=auth, handling=handling,
            recipients=tuple(NewRecipient(r.n, r.address, r.notify) for r in inbound.recipients),
            envelope=inbound,
        )  # fmt: skip
        await enter(self.pool, [mail])
        return inbound

    async def states(self, inbound: Inbound) -> list[tuple[object, ...]]:
        """Return (n, address, state, sender) of all rows of a message."""
        rows = await self.pool.fetch(
            "select n, address, state, sender from recipients where envelope = $1 order by n",
            inbound.id,
        )
        return [tuple(row.values()) for row in rows]
