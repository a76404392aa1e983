"""A post office for tests of routing: mail enters the ledger, what goes on is written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from policy_engine.content.bench import Bench
from policy_engine.late.judging import LateJudging
from policy_engine.late.originals import Originals
from policy_engine.late.waiting import WaitingRoom
from policy_engine.routing import Routing
from posthouse.blobs import Blobs
from posthouse.mail.envelope import Envelope, Inbound, InboundRecipient
from posthouse.mail.errors import Unavailable
from posthouse.mail.handling import DEFAULT, PLAIN, Handling, Notify
from posthouse.mail.ids import new_id
from posthouse.mail.return_path import ReturnPaths
from posthouse.mail.timetable import Timetable
from posthouse.runtime.spool import Spool
from posthouse.storage.ledger import NewMail, NewRecipient, enter
from posthouse.storage.pool import Pool

RETURNS = ReturnPaths(b"fedcba9876543210")
TIMETABLE = Timetable(
    delays=(timedelta(minutes=5), timedelta(minutes=15)),
    warn_after=None,
    give_up=timedelta(days=5),
)


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
    spool: Spool
    routing: Routing = field(init=False)
    sent: list[tuple[str, Envelope]] = field(default_factory=list)
    told: list[Envelope] = field(default_factory=list)
    is_broker_away: bool = False

    async def send(self, road: str, envelopes: Sequence[Envelope]) -> None:
        if self.is_broker_away:
            raise Unavailable("no broker")
        self.sent.extend((road, envelope) for envelope in envelopes)

    def judge_late(self, bench: Bench, timetable: Timetable = TIMETABLE) -> None:
        """Have ``bench`` judge what nobody has judged."""
        waiting = WaitingRoom(
            pool=self.pool,
            reporter=self.routing.reporter,
            outbox=self,
            timetable=timetable,
            bounce_timetable=timetable,
        )
        late = LateJudging(
            bench=bench,
            pool=self.pool,
            originals=Originals(self.blobs, self.spool),
            waiting=waiting,
            hostname="mx.example.test",
        )
        self.routing = replace(self.routing, late=late)

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        self.told.extend(envelopes)

    async def accepted(  # noqa: PLR0913 - each test says what it needs
        self,
        *recipients: str,
        sender: str = "eve@far.test",
        auth: str = "",
        notify: Notify = DEFAULT,
        handling: Handling = PLAIN,
        unjudged: bool = False,
        junk: bool = False,
        octets: bytes = b"Subject: hi\r\n\r\nbody\r\n",
    ) -> Inbound:
        """Enter a message into the ledger, as ingress does."""
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
