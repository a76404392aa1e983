"""The warden: once a second it tells what was counted, and does what follows from it.

Each step is found in PostgreSQL and done in a transaction of its own, by whichever pod comes first;
one that is killed leaves the rest to the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from policy_engine.outbound import rules
from policy_engine.outbound.letter import compose
from policy_engine.outbound.outgoing import Outgoing
from posthouse.blobs import Blobs
from posthouse.bus.topology import road_of
from posthouse.mail.envelope import Envelope, Inbound, InboundRecipient
from posthouse.mail.errors import Unavailable
from posthouse.mail.ids import new_id
from posthouse.storage import ledger
from posthouse.storage.ledger import Changed, NewMail, NewRecipient
from posthouse.storage.outbound import alarms, counting, pausing
from posthouse.storage.pool import Pool, Tx, transaction
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter, gauge
from posthouse.telemetry.outages import Outage

ROUND = timedelta(seconds=1)
FORGET = timedelta(minutes=10)
LETTERS = 20  # at once

_ALARMS = counter(
    "posthouse_policy_outbound_alarms_total", "Accounts that look wrong.", "rule", "consequence"
)
_PAUSED = gauge("posthouse_policy_outbound_paused", "Accounts whose mail is held or refused.")
log = get_logger()


class Roads(Protocol):
    """What the warden needs of the bus."""

    async def send(self, road: str, envelopes: Sequence[Envelope]) -> None:
        """Return when all are confirmed; raise `Unavailable`."""


class Outbox(Protocol):
    """Publishes what is committed, behind our back."""

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Publish soon; never fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """What the warden works with.

    Attributes:
        pool: PostgreSQL.
        blobs: Where its mails go.
        roads: Where mail goes on that was held.
        outbox: Publishes its mails.
        hostname: Our name.
        to: Who is told of alarms; empty for nobody but the tenant's contact.
        sign: Puts signatures of our name on a mail of our own; raises `Unavailable`.
        thresholds: What is too much.
        consequences: What is done then, by rule.
    """

    pool: Pool
    blobs: Blobs
    roads: Roads
    outbox: Outbox
    hostname: str
    to: str
    sign: Callable[[bytes], Awaitable[bytes]]
    thresholds: rules.Thresholds
    consequences: rules.Consequences


class Warden:
    """Watches over accounts that send."""

    def __init__(self, office: Office, outgoing: Outgoing) -> None:
        self._office = office
        self._outgoing = outgoing
        self._outage = Outage("accounts not watched", "accounts watched again")
        self._forgets = datetime.min.replace(tzinfo=UTC)

    async def work(self) -> None:
        """Make rounds until cancelled; an outage only delays."""
        while True:
            await asyncio.sleep(ROUND.total_seconds())
            try:
                await self.round()
            except Unavailable as trouble:
                self._outage.away(str(trouble))
            else:
                self._outage.over()

    async def round(self) -> None:
        """Do all there is to do; raise `Unavailable`."""
        await self._tell()
        pool = self._office.pool
        for account in await pausing.accounts_to_gather(pool):
            while await pausing.gather_some(pool, account):
                pass
        for account in await pausing.ending_accounts(pool):
            while (changed := await pausing.end_some(pool, account)).places:
                await self._publish(changed)
        while await self._write():
            pass
        _PAUSED.set(await pausing.count_paused(pool))
        now = datetime.now(UTC)
        if now - self._forgets > FORGET:
            await counting.forget(pool, now.date())
            self._forgets = now

    async def _tell(self) -> None:
        """Tell what was counted, and raise alarms."""
        counts = self._outgoing.counted()
        try:
            standing = await counting.add(self._office.pool, counts)
        except BaseException:
            self._outgoing.uncounted(counts)
            raise
        for today in standing:
            for each in rules.alarms(today, self._office.thresholds, self._office.consequences):
                async with transaction(self._office.pool) as tx:
                    await _raise(tx, each)

    async def _write(self) -> int:
        """Write to operators about alarms; each mail is entered with the note that it was."""
        office = self._office
        async with transaction(office.pool) as tx:
            found = await alarms.untold(tx, LETTERS)
            mails = [
                await self._mail(raised, to)
                for raised, contact in found
                if (to := [one for one in dict.fromkeys((office.to, contact)) if one])
            ]
            if mails:
                await ledger.enter(tx, mails)
            await alarms.told(tx, [raised for raised, _ in found])
        await office.outbox.publish([mail.envelope for mail in mails])
        return len(found)

    async def _mail(self, raised: alarms.Raised, to: Sequence[str]) -> NewMail:
        ident, host = new_id(), self._office.hostname
        octets = await self._office.sign(compose(ident, host, to, raised, datetime.now(UTC)))
        envelope = Inbound(
            id=ident,
            sender="",  # nothing answers it
            size=len(octets),
            recipients=tuple(InboundRecipient(n=n, address=each) for n, each in enumerate(to)),
        )
        await self._office.blobs.put(envelope.blob, octets)
        return NewMail(
            id=ident,
            origin="report",
            sender="",
            size=len(octets),
            message_id=f"<{ident}@{host}>",
            recipients=tuple(NewRecipient(n=n, address=each) for n, each in enumerate(to)),
            envelope=envelope,
        )

    async def _publish(self, changed: Changed) -> None:
        """Put on the roads what is due; whoever dies before leaves marks for the sweeper."""
        pool = self._office.pool
        for envelope in await ledger.all_envelopes_at(pool, changed.due) if changed.due else ():
            await self._office.roads.send(road_of(envelope), [envelope])
        await ledger.unmark(pool, changed.marks)


async def _raise(tx: Tx, what: pausing.Alarm) -> None:
    """Note an alarm and do what follows, if it is new."""
    if not await pausing.alarm(tx, what):
        return
    if what.consequence != "alert":
        await pausing.pause(tx, what.account, what.consequence, what.rule, detail=what.detail)
    _ALARMS.labels(what.rule, what.consequence).inc()
    log.warning(
        "account looks wrong",
        account=what.account,
        rule=what.rule,
        consequence=what.consequence,
        seen=what.detail,
    )
