"""delivery-remote without the broker: real PostgreSQL, a directory of objects, a name server and
scripted mail servers, all of them on the same port of different loopback addresses."""

from __future__ import annotations

import email
import email.policy
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from uuid import UUID

from delivery_remote.bookkeeping import Books
from delivery_remote.classes import Classes
from delivery_remote.delivery import Delivery, Parts
from delivery_remote.destinations import Destinations
from delivery_remote.folders import Filing
from delivery_remote.guard import Guard
from delivery_remote.next_hop import Limits
from delivery_remote.refusals import Refusals
from delivery_remote.return_paths import ReturnAddresses
from delivery_remote.returns import returns
from delivery_remote.security.records import TlsaRecords
from delivery_remote.session import Manners
from delivery_remote.sources import Sources
from delivery_remote.ways import Customs, Ours, Ways
from onemachine.ports import free_ports
from posthouse.blobs import Blobs, open_blobs
from posthouse.mail.envelope import Envelope, Inbound, InboundRecipient, Remote
from posthouse.mail.handling import DEFAULT, PLAIN, Handling, Notify
from posthouse.mail.ids import new_id
from posthouse.mail.return_path import ReturnPaths
from posthouse.mail.timetable import Timetable
from posthouse.resolver import Resolver
from posthouse.runtime.bounces import Reporter
from posthouse.runtime.outbox import Outbox
from posthouse.storage import ledger
from posthouse.storage.ledger import Branch, Claims, Kept, NewMail, NewRecipient, Settler
from posthouse.storage.pool import Pool
from posthouse.storage.suppressing import Terms
from posthouse.storage.trace import Trace
from support.dns_zone import Zone, serve_zone
from support.ledger import states_of
from support.outside import MESSAGE, manners
from support.scripted_smtp import Peer, Said, dotted, scripted

HOSTNAME = "mail.example.test"
OURS = Ours(names=frozenset({HOSTNAME}))
RETURN_PATHS = ReturnPaths(b"fedcba9876543210")
SECONDS = timedelta(seconds=1)
TIMETABLE = Timetable(
    delays=(5 * SECONDS, 30 * SECONDS),
    warn_after=timedelta(hours=4),
    give_up=timedelta(days=5),
)


@dataclass
class Post:
    """A publisher that keeps what it is given."""

    sent: list[Envelope] = field(default_factory=list)

    async def send(self, _road: str, envelopes: Sequence[Envelope]) -> None:
        self.sent.extend(envelopes)


@dataclass
class Station:
    """delivery-remote in pieces, and the world around it."""

    stack: AsyncExitStack
    pool: Pool
    parts: Parts
    zone: Zone
    port: int
    post: Post
    peers: int = 1

    @property
    def delivery(self) -> Delivery:
        return Delivery(self.parts)

    async def server(self, words: Mapping[str, Said] | None = None, **said: Said) -> Peer:
        """Start a mail server on an address of its own."""
        self.peers += 1
        host = f"127.0.0.{self.peers}"
        return await self.stack.enter_async_context(
            scripted({**(words or {}), **dotted(said)}, port=self.port, host=host)
        )

    def domain(self, name: str, *addresses: str) -> None:
        """Publish MX records of ``name``: the first address is preferred, and so on."""
        exchanges = [f"MX {10 * n} mx{n}.{name}" for n in range(len(addresses))]
        self.zone.records[name] = exchanges
        for n, address in enumerate(addresses):
            self.zone.records[f"mx{n}.{name}"] = [f"A {address}"]

    async def accept(
        self,
        *addresses: str,
        sender: str = "anna@example.test",
        octets: bytes = MESSAGE,
        age: timedelta = timedelta(),
        notify: Notify = DEFAULT,
        handling: Handling = PLAIN,
    ) -> Remote:
        """Store a message, enter it into the ledger, route it; all for one domain."""
        ident = new_id(int((datetime.now(UTC) - age).timestamp() * 1000))
        people = tuple(
            InboundRecipient(n=n, address=a, notify=notify) for n, a in enumerate(addresses)
        )
        inbound = Inbound(id=ident, sender=sender, size=len(octets), recipients=people)
        await self.parts.blobs.put(inbound.blob, octets)
        mail = NewMail(
            id=ident, origin="smtp", sender=sender, size=len(octets), envelope=inbound,
            recipients=tuple(NewRecipient(n, a) for n, a in enumerate(addresses)),
        )  # fmt: skip
        await ledger.enter(self.pool, [mail])
        domain = addresses[0].rpartition("@")[2]
        kept = [
            (ident, Kept(each.n, Branch(road="remote", address=each.address, domain=domain)))
            for each in people
        ]
        await ledger.routed(self.pool, kept)
        return Remote(
            id=ident,
            sender=sender,
            size=len(octets),
            handling=handling,
            domain=domain,
            recipients=people,
        )

    async def states(self, ident: UUID) -> dict[int, str]:
        return await states_of(self.pool, ident)

    async def time_passes(self, time: timedelta) -> None:
        """Let the next attempts come nearer by ``time``."""
        await self.pool.execute(
            "update recipients set next_attempt_at = next_attempt_at - $1::interval", time
        )

    async def reports_on(self, ident: UUID) -> list[EmailMessage]:
        """Return the reports that the ledger has on a message, read from object storage."""
        rows = await self.pool.fetch(
            "select id, size from envelopes where subject_id = $1 and origin = 'bounce'"
            " order by id",
            ident,
        )
        found = []
        for row in rows:
            key = Inbound(id=row["id"], sender="", size=1, recipients=()).blob
            octets = await self.parts.blobs.get(key)
            assert len(octets) == row["size"]
            message = email.message_from_bytes(octets, policy=email.policy.default)
            assert isinstance(message, EmailMessage)
            found.append(message)
        return found


@asynccontextmanager
async def open_station(
    pool: Pool, folder: Path, *, behaviour: Manners | None = None
) -> AsyncIterator[Station]:
    """Open a station on ``pool`` with its objects in ``folder``."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        zone = await enter(serve_zone({}))
        blobs: Blobs = await enter(open_blobs(f"disk:{folder}"))
        port, post = free_ports(1)[0], Post()
        resolver = Resolver(zone.nameservers, lifetime=SECONDS, validates=True)
        limits = Limits(rest=timedelta(milliseconds=1))
        books = Books(
            settler=await enter(Settler(pool)),
            outbox=await enter(Outbox(pool, post)),
            trace=await enter(Trace(pool, "delivery-remote")),
            reporter=Reporter(blobs=blobs, hostname=HOSTNAME),
            refusals=Refusals(pool, Terms(0, timedelta(days=30))),
            classes=Classes(
                usual=TIMETABLE,
                bounces=replace(TIMETABLE, give_up=timedelta(days=1), warn_after=None),
            ),
        )
        parts = Parts(
            claims=await enter(Claims(pool)),
            blobs=blobs,
            addresses=ReturnAddresses(pool, RETURN_PATHS),
            ways=Ways(pool, resolver, Customs(ours=OURS, port=port)),
            filing=stack.enter_context(Filing(folder / "folders", HOSTNAME)),
            guard=Guard(pool, dane=TlsaRecords(resolver, timedelta())),
            destinations=await enter(Destinations(behaviour or manners(), limits)),
            sources=Sources(pool),
            books=books,
            returns=await enter(returns(pool, books.outbox.publish, rate=1000.0)),
        )
        yield Station(stack, pool, parts, zone, port, post)
