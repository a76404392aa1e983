"""Contents: what policy says of a whole message, before it is stored.

    letter ─▶ question: all of a small one; header, beginning and digests of a large one
                  │ a scanner must see all of it: stored under a key for the time being, asked again
                  ▼
    verdict ─▶ its header, a refusal, or nothing to be done

Where policy judges nothing it says so, and is not asked for some seconds; then a question without a
message asks whether that has changed, so that no large message is hashed for nothing. When nobody answers a
stranger comes back later, and what an account sends is taken and judged at routing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from ingress_smtp.draft import Letter
from ingress_smtp.stamps import Arrival
from posthouse.authenticity.excerpt import WHOLE_OCTETS, excerpt
from posthouse.mail.content import BodyDigest, ContentQuestion, ContentVerdict
from posthouse.mail.errors import TemporaryFailure, Unavailable
from posthouse.mail.ids import judging_key
from posthouse.mail.status import Status
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

NOT_JUDGED = Status(451, (4, 7, 1))

_JUDGED = counter(
    "posthouse_ingress_contents_total", "Messages that policy was asked about.", "outcome"
)
log = get_logger()


class Policy(Protocol):
    """Somebody who judges messages."""

    async def ask(self, question: ContentQuestion) -> ContentVerdict:
        """Answer, or raise `Unavailable` when the deadline has passed."""


class Shelf(Protocol):
    """Where a large message lies while it is judged."""

    async def put(self, key: str, octets: bytes) -> None:
        """Return when ``octets`` are there; raise `Unavailable`."""

    async def put_file(self, key: str, descriptor: int) -> None:
        """Return when all that the open file holds is there; raise `Unavailable`."""

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove these objects."""


class Contents:
    """Asks about messages."""

    def __init__(
        self,
        policy: Policy,
        shelf: Shelf,
        hostname: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policy = policy
        self._shelf = shelf
        self._hostname = hostname
        self._clock = clock
        # Until when nothing is judged, of accounts and of all others; None: it is judged.
        self._rests: dict[bool, float | None] = {True: 0.0, False: 0.0}

    async def judge(self, arrival: Arrival, letter: Letter) -> ContentVerdict | None:
        """Return what becomes of ``letter``; None if it is to be judged at routing.

        Raises:
            TemporaryFailure: Nobody judges, and a stranger has sent it.
        """
        is_account = bool(arrival.auth)
        try:
            if await self._rest(arrival, letter):
                return ContentVerdict()
            verdict = await self._asked(await self._question(arrival, letter), letter)
        except Unavailable as trouble:
            _JUDGED.labels("accepted unjudged" if is_account else "deferred").inc()
            log.warning("message not judged", reason=str(trouble), auth=arrival.auth)
            if is_account:
                return None
            text = "Message cannot be judged now, try again later"
            raise TemporaryFailure(text, status=NOT_JUDGED) from trouble
        self._heed(verdict, is_account=is_account)
        _JUDGED.labels(verdict.action).inc()
        return verdict

    async def _rest(self, arrival: Arrival, letter: Letter) -> bool:
        """Return whether nothing is judged of such mail; ask if that was said a while ago."""
        is_account = bool(arrival.auth)
        until = self._rests[is_account]
        if until is None or until > self._clock():
            return until is not None
        probe = ContentQuestion(
            id=letter.ident,
            hostname=self._hostname,
            client=arrival.client,
            auth=arrival.auth,
            size=0,
            octets=b"",
            is_probe=True,
        )
        self._heed(await self._policy.ask(probe), is_account=is_account)
        return self._rests[is_account] is not None

    def _heed(self, verdict: ContentVerdict, *, is_account: bool) -> None:
        """Remember for how long nothing is judged, if that was said."""
        rest = verdict.rest_seconds
        self._rests[is_account] = self._clock() + rest if rest else None

    async def _asked(self, question: ContentQuestion, letter: Letter) -> ContentVerdict:
        verdict = await self._policy.ask(question)
        if not verdict.wants_all:
            return verdict
        key = judging_key(question.id)
        try:
            if isinstance(letter.content, bytes):
                await self._shelf.put(key, letter.content)
            else:
                await self._shelf.put_file(key, letter.content.descriptor)
            verdict = await self._policy.ask(msgspec.structs.replace(question, blob=key))
        finally:
            await self._clear(key)
        if verdict.wants_all:
            raise Unavailable("nobody answers", detail="policy wants what it was given")
        return verdict

    async def _clear(self, key: str) -> None:
        """Remove what was stored for the time being; what stays is the collector's."""
        try:
            await self._shelf.delete([key])
        except Unavailable as trouble:
            log.warning("object not removed", key=key, reason=str(trouble))

    async def _question(self, arrival: Arrival, letter: Letter) -> ContentQuestion:
        content = letter.content
        digests: tuple[BodyDigest, ...] = ()
        if not isinstance(content, bytes):
            octets, digests = await content.work(excerpt, content.pages())
        elif letter.size > WHOLE_OCTETS:
            octets, digests = await asyncio.to_thread(excerpt, content)
        else:
            octets = content
        return ContentQuestion(
            id=letter.ident,
            hostname=self._hostname,
            client=arrival.client,
            hello=arrival.hello,
            is_relay=arrival.is_lmtp,
            auth=arrival.auth,
            sender=arrival.sender,
            recipients=tuple(to.recipient for to in arrival.recipients),
            size=letter.size,
            octets=octets,
            digests=digests,
        )
