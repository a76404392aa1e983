"""Claims: of all processes that hold a copy of an envelope, one works on it (promise 3).

A claim is a PostgreSQL advisory lock of one session that is kept open. When the process dies,
PostgreSQL gives its claims to others at once; nothing is written, and nothing expires.

    claim ─▶ asked ─▶ turn: give back what is done, lock what is asked, read the rows of what was
                            locked, as its last holder has left them         one round trip

If the session breaks, what is claimed is no longer certain. A new session ends the old one, takes
all claims anew, and only then serves. `Claim.confirm` tells whether the claim is certain now: ask
before the step that cannot be taken back. It is certain for `FRESH_SECONDS` after an answer; the
server lets go of a client it does not hear of any more later than that (`locking`), so who is cut
off from PostgreSQL stops before another begins.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from types import TracebackType
from uuid import UUID

from posthouse.mail.envelope import Remote
from posthouse.mail.errors import Unavailable
from posthouse.storage.ledger.locking import (
    Backend,
    Open,
    in_time,
    is_gone,
    succeed,
    turn,
)
from posthouse.storage.pool import Pool, Tx
from posthouse.telemetry import metrics
from posthouse.telemetry.outages import Outage

MAX_TURN = 200  # claims asked for in one statement
BUSY = 10  # claims at once; with more, a turn waits for company
GATHER_SECONDS = 0.01
PULSE_SECONDS = 1.0  # the session is used at least as often
FRESH_SECONDS = 12.0  # after an answer a claim is certain
CONFIRM_SECONDS = 10.0  # how long who needs certainty waits for it
PATIENCE_SECONDS = 0.5  # who makes mail due holds its claim for moments: it is asked for again
AGAIN_SECONDS = 0.1  # from one question to the next
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0

_held = metrics.gauge("posthouse_ledger_claims_held", "Messages this process has claimed.")
_lost = metrics.counter("posthouse_ledger_claims_lost_total", "Sessions with claims that broke.")


@dataclass(slots=True, eq=False)
class Claim:
    """One envelope's claim; made by `Claims.claim`.

    Attributes:
        open: Those of its recipients that are not settled, read after the claim was made.
    """

    key: int
    id: UUID
    ns: tuple[int, ...]
    claims: Claims
    open: tuple[Open, ...] = ()
    granted: asyncio.Future[bool] = field(default_factory=asyncio.Future)
    is_firm: bool = False

    @property
    def was_granted(self) -> bool:
        """True if it was made, and is held until it is given back."""
        answer = self.granted
        return (
            answer.done() and not answer.cancelled() and not answer.exception() and answer.result()
        )

    @property
    def _is_certain(self) -> bool:
        return self.is_firm and self.claims.is_fresh

    async def confirm(self) -> None:
        """Return when the claim is certain; raise `Unavailable` if that does not come about."""
        if self._is_certain:  # nearly always: spare a timer
            return
        try:
            async with asyncio.timeout(CONFIRM_SECONDS):
                while not self._is_certain:
                    await self.claims.turned()
        except TimeoutError:
            raise Unavailable("storage is not available", detail="the claim was lost") from None


class Claims:
    """All claims of this process; use it as a context manager around the consumers."""

    def __init__(self, pool: Pool) -> None:
        """Keep the claims on one connection of ``pool``, for as long as this is open."""
        self._pool = pool
        self._claims: dict[int, Claim] = {}  # asked for, or held
        self._asked: deque[Claim] = deque()
        self._done: list[int] = []
        self._wake = asyncio.Event()
        self._turned: asyncio.Future[None] | None = None
        self._answered = float("-inf")
        self._session: Tx | None = None
        self._former: Backend | None = None
        self._trouble: str | None = None
        self._outage = Outage("claims lost", "claims kept again")
        self._tasks = asyncio.TaskGroup()  # a bug in the keeper must not go unnoticed

    async def __aenter__(self) -> Claims:
        await self._tasks.__aenter__()
        self._keeper = self._tasks.create_task(self._keep(), name="claims")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._keeper.cancel()
        await self._tasks.__aexit__(kind, raised, traceback)

    @property
    def is_fresh(self) -> bool:
        """True if the session stands, and answered so lately that it was not given up unheard."""
        is_lately = time.monotonic() - self._answered < FRESH_SECONDS
        return is_lately and self._session is not None and not is_gone(self._session)

    def trouble(self) -> str | None:
        """Return why nothing can be claimed, None if it can."""
        return self._trouble

    async def turned(self) -> None:
        """Return after the next answer of the server."""
        if self._turned is None:
            self._turned = asyncio.get_running_loop().create_future()
        self._wake.set()
        await asyncio.shield(self._turned)

    @asynccontextmanager
    async def claim(self, envelope: Remote) -> AsyncIterator[Claim | None]:
        """Hold the claim of ``envelope`` while the block runs; None if another copy holds it.

        Give the block's results to the ledger before it ends. Raises `Unavailable`.
        """
        key = key_of(envelope)
        if key in self._claims:
            yield None
            return
        ns = tuple(recipient.n for recipient in envelope.recipients)
        claim = self._claims[key] = Claim(key, envelope.id, ns, self)
        try:
            yield claim if await self._granted(claim) else None
        finally:
            del self._claims[key]
            if claim.was_granted and claim.is_firm:
                self._done.append(key)
                self._wake.set()  # operators' decisions pass over what is claimed

    async def _granted(self, claim: Claim) -> bool:
        """Ask for a claim until it is made, or was held by somebody else all the time."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            self._asked.append(claim)
            self._wake.set()
            if await claim.granted or time.monotonic() >= until:
                return claim.was_granted
            await asyncio.sleep(AGAIN_SECONDS)  # nobody tells when a lock is given back
            claim.granted = asyncio.Future()

    async def _keep(self) -> None:
        """Keep a session open and serve, for ever."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                async with self._pool.session() as session:
                    try:
                        await self._begin(session)
                        pause = FIRST_PAUSE_SECONDS
                        await self._serve(session)
                    finally:  # nobody may wait for what a session holds that is not used
                        if not is_gone(session):
                            session.connection.terminate()
            except Unavailable as trouble:
                self._lose(trouble)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _begin(self, session: Tx) -> None:
        """Make ``session`` ours: the former one, should it still live, ends."""
        async with in_time():
            self._session = session
            self._former = await succeed(session, self._former)
            await self._turn(session)
        self._trouble = None
        self._outage.over()

    async def _serve(self, session: Tx) -> None:
        while True:
            if not self._asked:
                with suppress(TimeoutError):
                    async with asyncio.timeout(PULSE_SECONDS):
                        await self._wake.wait()
            if len(self._claims) > BUSY and len(self._asked) < BUSY:
                await asyncio.sleep(GATHER_SECONDS)  # more is on its way, and a turn costs the same
            self._wake.clear()
            async with in_time():
                await self._turn(session)

    async def _turn(self, session: Tx) -> None:
        """Give back what is done; lock what is asked for, and what a lost session held."""
        done, self._done = self._done, []
        asked = [self._asked.popleft() for _ in range(min(MAX_TURN, len(self._asked)))]
        lost = [c for c in self._claims.values() if c.was_granted and not c.is_firm]
        takes = [*asked, *lost]
        try:
            began = time.monotonic()
            about = [(claim.key, claim.id, n) for claim in asked for n in claim.ns]
            taken = await turn(session, done, [claim.key for claim in takes], about)
            for claim in takes:
                claim.is_firm = claim.key in taken
            for claim in asked:
                claim.open = tuple(taken.get(claim.key, ()))
            self._answer(asked, began)
        except BaseException as error:
            self._refuse(asked, error)
            raise

    def _answer(self, asked: Sequence[Claim], began: float) -> None:
        self._answered = began
        for claim in asked:
            if not claim.granted.done():
                claim.granted.set_result(claim.is_firm)
            elif claim.is_firm and self._claims.get(claim.key) is not claim:
                self._done.append(claim.key)  # who asked has gone meanwhile
        _held.set(len(self._claims))
        if self._turned is not None:
            self._turned.set_result(None)
            self._turned = None

    def _refuse(self, asked: Sequence[Claim], error: BaseException) -> None:
        why = error if isinstance(error, Unavailable) else Unavailable("no claim could be made")
        for claim in asked:
            claim.is_firm = False
            if not claim.granted.done():
                claim.granted.set_exception(why)

    def _lose(self, trouble: Unavailable) -> None:
        """The session is over, and its claims with it: nobody may rely on one."""
        self._outage.away(str(trouble))
        _lost.inc()
        self._trouble = str(trouble)
        self._session = None
        self._done.clear()
        self._refuse(self._asked, trouble)
        self._asked.clear()
        for claim in self._claims.values():
            claim.is_firm = False


def key_of(envelope: Remote) -> int:
    """Return the number that all copies of ``envelope`` have in common, in 64 bits."""
    return lock_key(envelope.id, envelope.domain, envelope.sender)


def lock_key(ident: UUID, domain: str, sender: str) -> int:
    """Return the number of the envelopes of a message to ``domain`` from ``sender``.

    Two that share it by chance wait for each other, nothing worse.
    """
    words = f"{ident}/{domain}/{sender}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(words, digest_size=8).digest(), "big", signed=True)
