"""Handing one message over to one destination: server after server, until each recipient knows.

Returns what was said for each recipient and by whom; never raises once anything was handed over.
A kept session may have been closed by the server meanwhile: if it breaks before it has said
anything to MAIL, nothing was handed over, and a new session is opened at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeAlias

from delivery_remote.destinations import Destinations
from delivery_remote.next_hop import Destination
from delivery_remote.pace.strain import strain_in, strain_of
from delivery_remote.routes import Plan, Target
from delivery_remote.session import Mail, Refused, Session
from delivery_remote.sources import Exits
from delivery_remote.transcript import Lost, Refusal, Reply, Stage, Transcript, is_farewell
from delivery_remote.trouble import Later, Taken, Verdict, judge, summed_up
from posthouse.mail.envelope import InboundRecipient
from posthouse.mail.errors import MailFailure
from posthouse.mail.status import Status
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import histogram

# The broker takes an envelope back after 30 minutes, and with it all else that this process has.
# So no session is opened, and no transaction begun, after the first time; one that was begun ends
# with the second.
ASKING = timedelta(minutes=10)
TRANSACTION = timedelta(minutes=15)

TOO_SLOW = Later(Status(451, (4, 4, 2)), "the servers of the destination were too slow")

NO_PROMISE = Reply(550, "5.7.30 REQUIRETLS support required")  # RFC 8689 §4.2.1

log = get_logger()
_seconds = histogram(
    "posthouse_remote_transaction_seconds",
    "From MAIL to the reply to the final dot",
    buckets=(0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0),
)


@dataclass(frozen=True, slots=True)
class Said:
    """What became of one recipient.

    Attributes:
        verdict: What it means.
        host: Who said so; empty if nobody was reached.
        tls: The version of TLS it was said over, by which policy, and what else the trace is to tell.
        tells: The server knows what the sender wants to be told (RFC 3461 §5.2.1).
        keeps_time: It knows until when the mail must have arrived (RFC 2852 §4.1.4).
        is_final: It is where the recipient reads it: that is delivery, not handing on.
    """

    verdict: Verdict
    host: str = ""
    tls: str = ""
    tells: bool = False
    keeps_time: bool = False
    is_final: bool = False


Results: TypeAlias = Mapping[int, Said]


@dataclass(slots=True)
class Handover:
    """One message on its way to the servers of ``plan``.

    Attributes:
        destinations: Where sessions come from.
        plan: Whom to ask.
        mail: The message; its recipients are filled in here.
        recipients: To whom.
        exits: From which address of ours.
        results: What was said, by the recipients' numbers.
        until: When asking ends (monotonic seconds).
    """

    destinations: Destinations
    plan: Plan
    mail: Mail
    recipients: Sequence[InboundRecipient]
    exits: Exits = field(default_factory=Exits)
    results: dict[int, Said] = field(default_factory=dict)
    until: float = float("inf")

    async def run(self, destination: Destination) -> Results:
        """Ask the servers in turn; belongs into a slot of ``destination``.

        Raises:
            MailFailure: The octets cannot be had, and nothing was handed over.
        """
        refusals: list[Refusal] = []
        self.until = time.monotonic() + ASKING.total_seconds()
        for target in self.plan.targets:
            left = self._left()
            if not left or self._is_late():
                break
            try:
                await self._ask(destination, target, left)
            except Refused as refused:
                log.info("server refused", host=str(target), why=str(refused))
                refusals.append(self._meant(refused.refusal))
        theirs = [refusal for refusal in refusals if refusal.stage is not Stage.SOURCE]
        verdict = summed_up(theirs or refusals) if refusals else TOO_SLOW
        if len(refusals) < len(self.plan.targets):  # who was not asked may have said something else
            verdict = verdict if isinstance(verdict, Later) else TOO_SLOW
        elif isinstance(verdict, Later):
            self._failed(destination, theirs, verdict)
        last = str(self.plan.targets[-1])
        return {each.n: Said(verdict, last) for each in self.recipients} | self.results

    def _failed(self, destination: Destination, theirs: Sequence[Refusal], verdict: Later) -> None:
        """No server let us in; if all we lacked was an address of ours, that is not their fault."""
        if theirs:
            destination.failed(verdict, self.plan.targets)
            if busy := strain_of(theirs):
                destination.site.strained(busy)

    def _meant(self, refusal: Refusal) -> Refusal:
        """Without TLS a message that must stay secret cannot go to this server (RFC 8689 §4.2.1)."""
        if refusal.stage is not Stage.TLS or not self.mail.must_stay_secret:
            return refusal
        return Refusal(Stage.REQUIRETLS, Reply(550, f"5.7.10 Encryption needed: {refusal.answer}"))

    def _is_late(self) -> bool:
        return time.monotonic() > self.until

    def _left(self) -> list[InboundRecipient]:
        """Return for whom another server may be asked."""
        return [each for each in self.recipients if self._is_open(each)]

    def _is_open(self, recipient: InboundRecipient) -> bool:
        said = self.results.get(recipient.n)
        if said is None:
            return True
        return isinstance(said.verdict, Later) and said.verdict.elsewhere

    async def _ask(
        self, destination: Destination, target: Target, left: Sequence[InboundRecipient]
    ) -> None:
        """Hand over to one server, in as many transactions as it wants and the time allows."""
        most = min(self.mail.recipients_at_once, destination.site.shape.recipients)
        batches = [left[at : at + most] for at in range(0, len(left), most)]
        while batches and not self._is_late():
            batch = batches.pop(0)
            await self._transact(destination, target, batch)
            again = [each for each in batch if self._may_again(each)]
            if again and len(again) < len(batch):  # it took some: so this comes to an end
                batches.insert(0, again)

    def _may_again(self, recipient: InboundRecipient) -> bool:
        verdict = self.results[recipient.n].verdict
        return isinstance(verdict, Later) and verdict.again

    async def _transact(
        self, destination: Destination, target: Target, batch: Sequence[InboundRecipient]
    ) -> None:
        bound = self.exits.take(target, len(batch))
        try:
            await self._on_session(destination, bound, batch)
        except Refused:
            self.exits.give_back(bound, len(batch))
            raise

    async def _on_session(
        self, destination: Destination, target: Target, batch: Sequence[InboundRecipient]
    ) -> None:
        while True:
            async with self.destinations.session(destination, target, self.until) as session:
                if self.mail.must_stay_secret and not session.keeps_tls:
                    raise Refused(Stage.REQUIRETLS, NO_PROMISE)
                was_used = session.served > 0
                transcript = await self._converse(session, batch)
                if was_used and is_farewell(transcript.mail):
                    continue  # it was closed while it was kept: nothing was handed over
                self._note(destination, session, transcript, batch)
                return

    async def _converse(self, session: Session, batch: Sequence[InboundRecipient]) -> Transcript:
        mail = self.mail.addressed(batch)
        started = time.monotonic()
        try:
            async with asyncio.timeout(TRANSACTION.total_seconds()):
                return await session.transact(mail)
        except TimeoutError:
            return _unknown(len(batch))
        except MailFailure as failure:
            if not any(isinstance(said.verdict, Taken) for said in self.results.values()):
                raise
            return Transcript(mail=Reply(451, f"4.3.0 {failure.public}"))
        finally:
            _seconds.observe(time.monotonic() - started)

    def _note(
        self,
        destination: Destination,
        session: Session,
        transcript: Transcript,
        batch: Sequence[InboundRecipient],
    ) -> None:
        if not is_farewell(transcript.mail):
            destination.worked()
        if busy := strain_in(transcript):
            destination.site.strained(busy)
        if isinstance(transcript.end, Lost):
            log.warning(
                "reply to the end of the message lost, a duplicate is possible",
                host=str(session.target), recipients=len(batch),
            )  # fmt: skip
        verdicts = judge(transcript, len(batch))
        manner = session.security + (", converted to 7 bits" if transcript.converted else "")
        for recipient, verdict in zip(batch, verdicts, strict=True):
            self.results[recipient.n] = Said(
                verdict,
                str(session.target),
                manner,
                tells=session.offers_dsn,
                keeps_time=session.offers_by,
                is_final=session.target.lmtp,
            )


def _unknown(count: int) -> Transcript:
    """The conversation took too long, perhaps after the final dot: nobody else is asked now."""
    yes = Reply(250)
    slow = Lost("the conversation was ended by us, the server was too slow")
    return Transcript(mail=yes, recipients=(yes,) * count, data=Reply(354), end=slow)
