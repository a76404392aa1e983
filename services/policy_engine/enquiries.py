"""Answering: questions of ingress, judged with a directory that is remembered for seconds.

A change by an operator reaches every pod within the sum of the two memories, this one and the
one in ingress: some five seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar
from uuid import UUID

from policy_engine.admission import Grounds, is_of_house, judge, wanted
from policy_engine.arrival import Arrival, Step
from policy_engine.maps.admitting import admitted
from policy_engine.maps.book import CurrentMaps, no_maps
from policy_engine.returned import as_meant
from policy_engine.rights import NO_GRANTS, Grants, Ownership, is_plain, read
from policy_engine.srs import Rewriter
from posthouse.mail.address import DETAIL_DELIMITER
from posthouse.mail.admission import (
    AuthorQuestion,
    MailQuestion,
    Question,
    RcptQuestion,
    Verdict,
)
from posthouse.mail.errors import Unavailable
from posthouse.mail.return_path import ReturnPaths, Style
from posthouse.storage import directory
from posthouse.storage.directory import Found, Network
from posthouse.storage.directory.senders import Sender
from posthouse.storage.pool import Pool
from posthouse.telemetry.metrics import counter

T = TypeVar("T")

REMEMBER = timedelta(seconds=2)
RENEW_AFTER = timedelta(seconds=1)  # what is used is asked for again before it is too old
REMEMBER_NETWORKS = timedelta(seconds=5)
MAX_REMEMBERED = 20_000
MAX_RENEWED = 1_000  # keys per statement
_ANY_MESSAGE = UUID(int=0)  # all return paths of a sender are equally long

_ANSWERS = counter("posthouse_policy_answers_total", "Questions answered, by the rule.", "rule")


class Memory(Generic[T]):
    """What the directory says of keys, remembered for `REMEMBER`.

    Where `work` runs, what is used all the time is renewed beside the questions: none waits for it.
    """

    def __init__(
        self,
        resolve: Callable[[Sequence[str]], Awaitable[Mapping[str, T]]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resolve = resolve
        self._clock = clock
        self._remembered: OrderedDict[str, tuple[float, T]] = OrderedDict()
        self._works = False
        self._aging: dict[str, None] = {}
        self._something = asyncio.Event()

    async def resolve(self, keys: Sequence[str]) -> dict[str, T]:
        """Return what ``keys`` are, asking for all that is not fresh in one round trip."""
        now = self._clock()
        fresh = {key: at[1] for key in keys if (at := self._remembered.get(key)) and at[0] > now}
        if self._works:
            self._note_aging(fresh, now)
        stale = [key for key in keys if key not in fresh]
        return {**fresh, **await self._asked(stale)} if stale else fresh

    async def work(self) -> None:
        """Renew what is used, for ever, all that is due in one statement."""
        self._works = True
        while True:
            await self._something.wait()
            self._something.clear()
            while self._aging:
                some = list(self._aging)[:MAX_RENEWED]
                for key in some:
                    del self._aging[key]
                with suppress(Unavailable):  # whoever needs it once it is too old is told
                    await self._asked(some)

    def _note_aging(self, keys: Iterable[str], now: float) -> None:
        """Have those renewed whose time is nearly over."""
        soon = now + (REMEMBER - RENEW_AFTER).total_seconds()
        for key in keys:
            if self._remembered[key][0] <= soon:
                self._aging[key] = None
                self._something.set()

    async def _asked(self, keys: Sequence[str]) -> Mapping[str, T]:
        found = await self._resolve(keys)
        until = self._clock() + REMEMBER.total_seconds()
        for key, what in found.items():
            self._remembered[key] = (until, what)
            self._remembered.move_to_end(key)
        while len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)
        return found


class Networks:
    """On which terms clients relay: those in the settings and those in the directory."""

    def __init__(self, pool: Pool, fixed: Sequence[Network]) -> None:
        self._pool = pool
        self._fixed = tuple(fixed)
        self._listed: tuple[Network, ...] = ()
        self._until = 0.0

    async def all(self) -> tuple[Network, ...]:
        """Return them, not older than `REMEMBER_NETWORKS`."""
        if self._until < time.monotonic():
            self._listed = await directory.networks(self._pool)
            self._until = time.monotonic() + REMEMBER_NETWORKS.total_seconds()
        return self._listed + self._fixed  # of equals the first counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Enquiries:
    """The handler of questions.

    Attributes:
        memory: What addresses are here.
        lent: What accounts may send as besides their own.
        networks: On which terms clients relay.
        rewriter: Knows our rewritten senders.
        hostname: Our name; of its addresses only postmaster is known.
        has_postmaster: Somebody takes the mail to postmaster of every domain of ours.
        ownership: Whose addresses an account may send as.
        returns: Reads our return paths.
        senders: How domains and accounts send.
        return_path: How they do where none of them says.
        steps: Who has a say about a recipient that would be accepted, in this order.
        maps: What operators have written of addresses.
        at_mail: Has a say about a sender that would be accepted.
    """

    memory: Memory[Found]
    lent: Memory[Grants]
    networks: Networks
    rewriter: Rewriter
    returns: ReturnPaths
    senders: Memory[Sender | None]
    return_path: Style = "plain"
    hostname: str = ""
    has_postmaster: bool = False
    ownership: Ownership = "strict"
    steps: Sequence[Step] = ()
    maps: CurrentMaps = no_maps
    at_mail: Callable[[MailQuestion], Awaitable[Verdict | None]] | None = None

    async def answer(self, question: Question) -> Verdict:
        """Judge ``question``; raises `Unavailable`, then the asker gets no answer."""
        today = datetime.now(UTC).date()
        asked = question
        if isinstance(question, RcptQuestion):
            question = as_meant(question, self.returns, today)
        is_answer = question is not asked
        said: Verdict | None = None
        if isinstance(question, RcptQuestion):
            question, said = await admitted(question, await self.maps(), self.memory.resolve)
        networks = await self.networks.all()
        verdict = said or judge(
            question,
            Grounds(
                known=await self.memory.resolve(wanted(question)),
                networks=networks,
                rewriter=self.rewriter,
                today=today,
                hostname=self.hostname,
                has_postmaster=self.has_postmaster,
                ownership=self.ownership,
                grants=await self._grants(question),
                refuses_bounces=not is_answer and await self._refuses_bounces(question),
            ),
        )
        if isinstance(question, MailQuestion) and self.at_mail and verdict.accepts:
            verdict = await self.at_mail(question) or verdict
        if isinstance(question, RcptQuestion):
            arrival = Arrival(
                question=question,
                verdict=verdict,
                is_trusted=is_of_house(question, networks),
                is_answer=is_answer,
            )
            verdict = await self._in_steps(arrival)
        _ANSWERS.labels(verdict.rule).inc()
        return verdict

    async def _in_steps(self, arrival: Arrival) -> Verdict:
        """Return what the first step says that says anything, of a recipient that is accepted."""
        if arrival.verdict.accepts:
            for step in self.steps:
                if (said := await step(arrival)) is not None:
                    return said
        return arrival.verdict

    async def _refuses_bounces(self, question: Question) -> bool:
        """True if the recipient takes bounces at return paths of ours only, and can have some."""
        if not isinstance(question, RcptQuestion) or question.sender or question.auth:
            return False
        address = read(question.recipient)
        if address is None:
            return False
        base = replace(address, local=address.detail(DETAIL_DELIMITER)[0])
        if self.returns.signed(base, _ANY_MESSAGE) is None:
            return False
        key = question.recipient
        said = (await self.senders.resolve([key]))[key]
        if said is None or not said.signed_only:
            return False
        return (said.return_path or self.return_path) != "plain"

    async def _grants(self, question: Question) -> Grants:
        """Return what is lent to the account that asks, if it claims more than its own address."""
        match question:
            case MailQuestion(sender=sender, auth=auth):
                claimed: tuple[str, ...] = (sender,)
            case AuthorQuestion(authors=authors, sender=sender, auth=auth):
                claimed = (*authors, sender)
            case _:
                return NO_GRANTS
        if all(is_plain(each, auth) for each in claimed):
            return NO_GRANTS
        return (await self.lent.resolve([auth]))[auth]
