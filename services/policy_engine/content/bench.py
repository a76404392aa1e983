"""The bench: whole messages are judged here, for ingress while the client waits, and for routing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

from msgspec import structs

from policy_engine.content.case import Case
from policy_engine.content.composing import composed, is_changed
from policy_engine.content.pipeline import Judged, Pipeline
from policy_engine.content.sealing import Sealer, sealed
from policy_engine.content.verdict import Judgement
from posthouse.authenticity.dkim.bodies import Digest
from posthouse.mail.content import ContentQuestion, ContentVerdict
from posthouse.mail.status import OK, Status
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

IsOurs: TypeAlias = Callable[[str, str], Awaitable[bool]]  # client and sender

REST_SECONDS = 5.0  # what is set at run time is heeded within these
REFUSED = 550
LATER = 451

_JUDGED = counter("posthouse_policy_judged_total", "Messages judged.", "action", "rule")
log = get_logger()


class Rewriter(Protocol):
    """Changes addresses in the header of mail of this house."""

    @property
    def is_idle(self) -> bool:
        """True if it has nothing to say."""

    async def refresh(self) -> None:
        """See whether it has; raise `Unavailable`."""

    async def __call__(self, case: Case, header: bytes) -> bytes:
        """Return the ``header`` of ``case`` as it is to be stored; raise `Unavailable`."""


class Holding(Protocol):
    """Says what waits for an operator."""

    @property
    def is_idle(self) -> bool:
        """True if nothing does."""

    async def refresh(self) -> None:
        """See whether that is so; raise `Unavailable`."""

    async def __call__(self, judged: Judged) -> str:
        """Return why this is held, empty if it is not; raise `Unavailable`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """How mail is marked as spam.

    Attributes:
        tag_at: From which score on.
        prefix: What is put before its Subject; empty for nothing.
    """

    tag_at: float = 5.0
    prefix: str = ""


class Bench:
    """Answers what becomes of messages."""

    def __init__(
        self,
        pipeline: Pipeline,
        sealers: Sequence[Sealer],
        is_ours: IsOurs,
        marks: Marks,
        at_once: int,
    ) -> None:
        """Judge by ``pipeline``, at most ``at_once`` at a time; the others wait for their turn.

        ``is_ours`` says whether a client may relay by its network.
        """
        self._pipeline = pipeline
        self._sealers = tuple(sealers)
        self._is_ours = is_ours
        self._marks = marks
        self._turns = asyncio.Semaphore(at_once)
        self.rewriter: Rewriter | None = None  # of mail of this house, before it is signed
        self.holding: Holding | None = None
        self.witnesses: list[Callable[[Judged], None]] = []  # they hear what was decided

    async def answer(self, question: ContentQuestion) -> ContentVerdict:
        """Judge what is asked; raises `Unavailable`, then the asker gets no answer."""
        await self.refresh()
        if self.rests(is_account=bool(question.auth)):
            return ContentVerdict(rest_seconds=REST_SECONDS)
        if question.is_probe:
            return ContentVerdict()
        judged = await self.judge(await self.case_of(question))
        if judged is None:
            return ContentVerdict(wants_all=True)
        verdict = await self.verdict_of(judged)
        if verdict.refuses or verdict.action == "discard":
            return verdict
        return await self._with_header(verdict, judged, question.hostname)

    async def refresh(self) -> None:
        """See what of `rests` may have changed; raise `Unavailable`."""
        for each in (self.rewriter, self.holding):
            if each:
                await each.refresh()

    def rests(self, *, is_account: bool) -> bool:
        """True if nothing is judged of mail of accounts, or of all other mail."""
        if any(each and not each.is_idle for each in (self.rewriter, self.holding)):
            return False
        kinds = (True,) if is_account else (True, False)  # some others are of this house, too
        return all(
            self._pipeline.is_idle(is_trusted=kind)
            and not any(each.of_ours if kind else each.of_strangers for each in self._sealers)
            for kind in kinds
        )

    async def case_of(self, question: ContentQuestion) -> Case:
        """Return the case that ``question`` lays before us."""
        return Case(
            id=question.id,
            client=question.client,
            hello=question.hello,
            knows_client=not question.is_relay,
            # Who passes others' mail on to us by LMTP is trusted to do that, not to have written it.
            is_ours=not question.is_relay and await self._is_ours(question.client, question.sender),
            auth=question.auth,
            sender=question.sender,
            recipients=question.recipients,
            octets=question.octets,
            size=question.size,
            digests={each.canon: Digest(each.octets, each.size) for each in question.digests},
            blob=question.blob,
        )

    async def judge(self, case: Case) -> Judged | None:
        """Judge ``case``; None if first all of it has to be readable."""
        if self._pipeline.wants_all(case):
            return None
        async with self._turns:
            judged = await self._pipeline.judge(case)
        if not case.is_trial:
            _told(judged)
            for witness in self.witnesses:
                witness(judged)
        return judged

    async def verdict_of(self, judged: Judged) -> ContentVerdict:
        """Return what is answered, its header aside; raise `Unavailable`."""
        verdict = verdict_of(judged.judgement)
        is_taken = not verdict.refuses and verdict.action != "discard"
        hold = await self.holding(judged) if self.holding and is_taken else ""
        return structs.replace(verdict, hold=hold) if hold else verdict

    async def header_of(self, judged: Judged, hostname: str) -> bytes:
        """Return the header as it is to be stored."""
        header = composed(
            judged,
            hostname,
            tag_at=judged.levels.tag or self._marks.tag_at,
            prefix=self._marks.prefix,
        )
        case = judged.case
        if self.rewriter and case.is_trusted:
            after = await self.rewriter(case, header)
            if after != header:  # who signs looks at its authors
                header, size = after, case.size - case.body_start + len(after)
                case = replace(case, octets=header + case.body, size=size)
        return await sealed(self._sealers, case, header)

    async def _with_header(
        self, verdict: ContentVerdict, judged: Judged, hostname: str
    ) -> ContentVerdict:
        header = await self.header_of(judged, hostname)
        if not is_changed(judged.case, header):
            return verdict
        return structs.replace(verdict, header=header)


def _told(judged: Judged) -> None:
    """Count and log what was decided."""
    its = judged.judgement
    rule = its.decided_by[0] if its.decided_by else "score"
    _JUDGED.labels(its.action, rule if its.action != "accept" else "").inc()
    if its.action != "accept":
        log.info(
            "message judged",
            envelope=judged.case.id,
            action=its.action,
            score=its.score,
            rules=rules_of(its),
            client=judged.case.client,
            sender=judged.case.sender,
            auth=judged.case.auth,
        )


def verdict_of(its: Judgement) -> ContentVerdict:
    """Return ``its`` words for who asked; `Bench.verdict_of` knows whether it waits, too."""
    said = {"reject": Status(REFUSED, its.enhanced), "tempfail": Status(LATER, its.enhanced)}
    status = said.get(its.action, OK)
    return ContentVerdict(
        action=its.action,
        code=status.code,
        enhanced=status.enhanced,
        text=its.text,
        score=its.score,
        rules=rules_of(its),
        decided_by=its.decided_by,
    )


def rules_of(its: Judgement) -> tuple[tuple[str, float], ...]:
    """Return what was found that counts, with its scores."""
    return tuple((each.rule, each.score) for each in its.findings if not each.is_shadow)
