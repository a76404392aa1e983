"""Judging at routing what was accepted of an account while nobody judged.

    original ─▶ verdict and header, recorded once ─▶ object written ─▶ routed as any other mail
                    │ a check cannot work
                    ▼
                 it waits (`waiting`)

What is asked is what ingress would have asked, and what is written is what it would have stored:
marked, and signed once. Who is killed in between finds the verdict, and writes the same object.
What is refused goes back to the account.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeAlias
from uuid import UUID

import msgspec

from policy_engine.content.bench import Bench
from policy_engine.dead_ends import Dead
from policy_engine.late.originals import Octets, Originals
from policy_engine.late.turns import Drop, Later, Waiting, turn_of
from policy_engine.late.waiting import WaitingRoom
from posthouse.authenticity.excerpt import excerpt
from posthouse.bus.moves import Ack, Move, Wait
from posthouse.mail.content import BodyDigest, ContentQuestion, ContentVerdict, Kept
from posthouse.mail.envelope import Inbound
from posthouse.mail.errors import Unavailable
from posthouse.mail.header import header_end
from posthouse.mail.outcome import Discarded
from posthouse.mail.status import Status
from posthouse.storage import ledger
from posthouse.storage.ledger.judging import Recorded, Standing, note_written, record, standings_of
from posthouse.storage.pool import Pool
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

AT_ONCE = 8
REFUSED = 550
NOT_NOW = ContentVerdict(
    action="tempfail", code=451, enhanced=(4, 7, 1), text="Message cannot be judged now"
)

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


_End: TypeAlias = Standing | Move  # judged, and its object written; or what its envelope does


@dataclass(frozen=True, slots=True, kw_only=True)
class LateJudging:
    """Judges what stands in the ledger as unjudged.

    Attributes:
        bench: Who judges.
        pool: Where the ledger is.
        originals: Where the messages are.
        waiting: Where they wait if they cannot be judged.
        hostname: Whose name stands in our fields.
    """

    bench: Bench
    pool: Pool
    originals: Originals
    waiting: WaitingRoom
    hostname: str

    async def sort(self, batch: Sequence[Inbound]) -> Sorted:
        """Judge what of ``batch`` nobody has judged; raise `Unavailable` if the ledger is away."""
        late = {mail.id: mail for mail in batch if mail.unjudged}
        if not late:
            return Sorted(going=list(batch))
        ends = await self._ends(late)
        done = Sorted()
        for mail in batch:
            end = ends.get(mail.id)
            if end is None:
                done.going.append(mail)
            elif not isinstance(end, Standing):
                done.moves[mail.id] = end
            else:
                kept = _read(end)
                done.going.append(_judged(mail, end, kept))
                if kept.action == "reject":
                    done.refused[mail.id] = Dead(Status(REFUSED, kept.enhanced), kept.text)
        return done

    async def _ends(self, late: Mapping[UUID, Inbound]) -> dict[UUID, _End]:
        known = await standings_of(self.pool, list(late))
        turns = asyncio.Semaphore(AT_ONCE)

        async def of(mail: Inbound) -> _End:
            async with turns:
                return await self._end(mail, known.get(mail.id))

        found = await asyncio.gather(*map(of, late.values()), return_exceptions=True)
        ends: dict[UUID, _End] = {}
        for ident, end in zip(late, found, strict=True):
            if isinstance(end, BaseException):
                raise end  # nobody works on any of them any more
            ends[ident] = end
        return ends

    async def _end(self, mail: Inbound, standing: Standing | None) -> _End:
        if standing is None:
            return Ack()  # its part of the ledger has gone: it was settled long ago
        if not standing.is_open:
            return standing if standing.header is None else await self._work(mail, standing)
        turn = turn_of(mail.attempts, _waiting(standing), datetime.now(UTC))
        if isinstance(turn, Later):
            return Wait(turn.delay)
        return Ack() if isinstance(turn, Drop) else await self._work(mail, standing)

    async def _work(self, mail: Inbound, standing: Standing) -> _End:
        try:
            async with self.originals.opened(mail) as original:
                if standing.is_open:
                    end = await self._judge(mail, standing, original)
                    if not isinstance(end, Standing):
                        return end
                    standing = end
                return await self._write(mail, standing, original)
        except Unavailable as trouble:
            log.warning("message not judged", envelope=mail.id, reason=str(trouble))
            return await self.waiting.put_off(mail, standing, NOT_NOW)

    async def _judge(self, mail: Inbound, standing: Standing, original: Octets) -> _End:
        """Return how the message stands once it is judged, by us or by somebody else."""
        question = _question(mail, standing, await _shown(original), self.hostname)
        verdict = await self.bench.answer(question)
        _LATE.labels(verdict.action).inc()
        if verdict.action == "tempfail":
            log.warning("message waits to be judged", envelope=mail.id, rules=verdict.rules)
            return await self.waiting.put_off(mail, standing, verdict)
        octets = question.octets
        found = Recorded(
            verdict=verdict.record,
            header=verdict.header or octets[: header_end(octets)],
            junk=verdict.action == "quarantine",
        )
        await record(self.pool, mail.id, found)
        return (await standings_of(self.pool, [mail.id]))[mail.id]

    async def _write(self, mail: Inbound, standing: Standing, original: Octets) -> _End:
        """Write the object under the header that is recorded, unless nobody is to have it."""
        header, kept = standing.header, _read(standing)
        if header is None:
            return standing
        if kept.action == "discard":
            return await self._discard(mail, kept)
        size = await self.originals.write(mail, original, header)
        body = standing.body if header.isascii() else "8BITMIME"
        await note_written(self.pool, mail.id, size, body)
        return replace(standing, size=size, body=body, header=None)

    async def _discard(self, mail: Inbound, kept: Kept) -> Ack:
        rule = kept.by[0] if kept.by else "score"
        outcomes = [Discarded(n=to.n, rule=rule) for to in mail.recipients]
        await ledger.settle(self.pool, mail.id, outcomes, mail.attempts)
        log.info("message discarded", envelope=mail.id, rule=rule)
        return Ack()


async def _shown(original: Octets) -> tuple[bytes, tuple[BodyDigest, ...]]:
    if isinstance(original, bytes):
        return original, ()
    return await original.work(excerpt, original.pages())


def _question(
    mail: Inbound, standing: Standing, shown: tuple[bytes, tuple[BodyDigest, ...]], hostname: str
) -> ContentQuestion:
    client, _, rest = standing.client.partition(" ")
    octets, digests = shown
    return ContentQuestion(
        id=mail.id,
        hostname=hostname,
        client=client,
        hello=rest.partition(" ")[0],
        auth=mail.auth,
        sender=mail.sender,
        recipients=tuple(to.address for to in mail.recipients),
        size=mail.size,
        octets=octets,
        digests=digests,
        blob=mail.blob,
    )


def _judged(mail: Inbound, standing: Standing, kept: Kept) -> Inbound:
    """Return the envelope as if the message had been judged when it came."""
    return msgspec.structs.replace(
        mail,
        unjudged=False,
        junk=kept.action == "quarantine",
        wait=kept.hold,
        size=standing.size,
        body=standing.body,
        summary=None,
    )


def _waiting(standing: Standing) -> Waiting | None:
    if not standing.waiting:
        return None
    return Waiting(attempts=standing.attempts, due=standing.due, warned=standing.warned)


def _read(standing: Standing) -> Kept:
    """Return what was recorded; nothing found, where nothing was."""
    return _KEPT.decode(standing.verdict) if standing.verdict else Kept(action="accept")
