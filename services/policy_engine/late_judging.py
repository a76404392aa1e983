"""Judging at routing what was accepted of an account while nobody judged.

The verdict is recorded once and read by whoever routes the message again. It cannot change the
object any more: what is refused goes back to the account, what looks like spam is marked for Junk,
and where a check cannot work the message waits; it never bounces for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import msgspec

from policy_engine.content.bench import Bench, verdict_of
from policy_engine.content.case import Case
from policy_engine.dead_ends import Dead
from posthouse.blobs import Blobs
from posthouse.bus.moves import Ack, Move, Wait
from posthouse.mail.content import ContentVerdict, Kept
from posthouse.mail.envelope import Inbound
from posthouse.mail.errors import Unavailable
from posthouse.mail.outcome import Discarded
from posthouse.mail.status import Status
from posthouse.storage import ledger
from posthouse.storage.ledger.judging import Standing, record_verdict, verdicts
from posthouse.storage.pool import Pool
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

AGAIN = timedelta(minutes=1)  # after a check could not work
SEEN_OCTETS = 1024 * 1024  # of a large message; whoever must see all of it reads the object
AT_ONCE = 8
REFUSED = 550

_LATE = counter(
    "posthouse_policy_judged_late_total", "Messages judged at routing, by outcome.", "outcome"
)
_KEPT = msgspec.json.Decoder(Kept)
log = get_logger()


@dataclass(slots=True)
class Sorted:
    """A batch after judgement.

    Attributes:
        going: What is to be routed.
        refused: Why nobody gets some of it.
        moves: What becomes of the envelopes of the rest.
    """

    going: list[Inbound] = field(default_factory=list)
    refused: dict[UUID, Dead] = field(default_factory=dict)
    moves: dict[UUID, Move] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LateJudging:
    """Judges what stands in the ledger as unjudged."""

    bench: Bench
    pool: Pool
    blobs: Blobs

    async def sort(self, batch: Sequence[Inbound]) -> Sorted:
        """Judge what of ``batch`` nobody has judged; raise `Unavailable` if the ledger is away."""
        late = [mail for mail in batch if mail.unjudged]
        if not late:
            return Sorted(going=list(batch))
        found = await self._found(late)
        done = Sorted()
        for mail in batch:
            if not mail.unjudged:
                done.going.append(mail)
            elif (kept := found[mail.id]) is None:
                done.moves[mail.id] = Wait(AGAIN)
            elif kept.action == "discard":
                done.moves[mail.id] = await self._discard(mail, kept)
            else:
                done.going.append(
                    msgspec.structs.replace(mail, junk=kept.action == "quarantine", unjudged=False)
                )
                if kept.action == "reject":
                    done.refused[mail.id] = Dead(Status(REFUSED, kept.enhanced), kept.text)
        return done

    async def _found(self, late: Sequence[Inbound]) -> Mapping[UUID, Kept | None]:
        """Return each message's verdict, None where it cannot be had now."""
        known = await verdicts(self.pool, [mail.id for mail in late])
        turns = asyncio.Semaphore(AT_ONCE)

        async def of(mail: Inbound) -> Kept | None:
            standing = known.get(mail.id)
            if standing is None or not standing.is_open:
                return _read(standing)
            async with turns:
                return await self._judge(mail, standing)

        found = await asyncio.gather(*map(of, late))
        return {mail.id: each for mail, each in zip(late, found, strict=True)}

    async def _judge(self, mail: Inbound, standing: Standing) -> Kept | None:
        verdict = await self._verdict(mail, standing)
        _LATE.labels(verdict.action).inc()
        if verdict.action == "tempfail":
            log.warning("message waits to be judged", envelope=mail.id, rules=verdict.rules)
            return None
        junk = verdict.action == "quarantine"
        if await record_verdict(self.pool, mail.id, verdict.record, junk=junk):
            return verdict.kept
        return _read((await verdicts(self.pool, [mail.id])).get(mail.id))

    async def _verdict(self, mail: Inbound, standing: Standing) -> ContentVerdict:
        if self.bench.rests(is_account=bool(mail.auth)):
            return ContentVerdict()
        client, _, rest = standing.client.partition(" ")
        case = Case(
            id=mail.id,
            client=client,
            hello=rest.partition(" ")[0],
            auth=mail.auth,
            sender=mail.sender,
            recipients=tuple(to.address for to in mail.recipients),
            octets=await self.blobs.get_range(mail.blob, 0, SEEN_OCTETS),
            size=mail.size,
            blob=mail.blob,
        )
        try:
            judged = await self.bench.judge(case)
        except Unavailable as trouble:
            log.warning("message not judged", envelope=mail.id, reason=str(trouble))
            return ContentVerdict(action="tempfail")
        if judged is None:
            raise ValueError("all of an accepted message can be read")
        return verdict_of(judged.judgement)

    async def _discard(self, mail: Inbound, kept: Kept) -> Ack:
        rule = kept.by[0] if kept.by else "score"
        outcomes = [Discarded(n=to.n, rule=rule) for to in mail.recipients]
        await ledger.settle(self.pool, mail.id, outcomes, 0)
        log.info("message discarded", envelope=mail.id, rule=rule)
        return Ack()


def _read(standing: Standing | None) -> Kept:
    """Return what was recorded; nothing found, where nothing was."""
    return (
        _KEPT.decode(standing.verdict) if standing and standing.verdict else Kept(action="accept")
    )
