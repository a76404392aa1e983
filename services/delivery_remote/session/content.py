"""The octets of a message, by DATA (RFC 5321 §4.1.1.4) or in chunks by BDAT (RFC 3030 §2).

Whatever breaks before the last line of DATA, or before ``BDAT n LAST``, has handed nothing over. The
last piece is held back until the message has confirmed that it may go.
"""

from __future__ import annotations

from aiosmtplib.errors import SMTPException

from delivery_remote.session.mail import Mail
from delivery_remote.session.talk import Sent, Talk
from delivery_remote.transcript import Answer, Lost, is_yes
from delivery_remote.transparency import DotStuffer, LineEnds
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

log = get_logger()
_sent = counter(
    "posthouse_remote_contents_total", "Messages whose octets were sent, by the command", "command"
)


async def by_data(talk: Talk, mail: Mail, *, replies: int = 0) -> Sent:
    """Send ``mail`` after 354; ``replies`` come at the end, one for each recipient (RFC 2033)."""
    stuffer, waiting = DotStuffer(), b""
    try:
        async for piece in mail.confirmed_pieces():
            if waiting:
                await talk.send(waiting)
            waiting = stuffer.feed(piece)
        if not talk.line.has_unread:
            talk.line.write(waiting + stuffer.finish())
    except SMTPException as broken:
        log.debug("message broke off", host=talk.host, why=str(broken))
    if not stuffer.is_finished:
        return await talk.interrupted()
    _tell("data", stuffer.mended, talk)
    return await _ended(talk, await talk.taken(), replies)


async def by_chunks(talk: Talk, mail: Mail, *, pipelined: bool, replies: int = 0) -> Sent:
    """Send ``mail`` by BDAT; the reply to a chunk is awaited before the next, or the one after.

    A chunk that is refused is the end of it: no LAST follows, and RSET comes next (RFC 3030 §2).
    The last one has ``replies``, one for each recipient, where these are counted (RFC 2033 §4.3).
    """
    chunks = _Chunks(talk, ahead=1 if pipelined else 0)
    mender, waiting = LineEnds(), b""
    try:
        async for piece in mail.confirmed_pieces():
            if waiting:
                await chunks.send(waiting)
                if chunks.refusal is not None:
                    return await chunks.given_up()
            waiting = mender.feed(piece)
        waiting += mender.finish()
        if talk.line.has_unread and not chunks.unread:
            return await talk.interrupted()
        talk.line.write(b"BDAT %d LAST\r\n" % len(waiting) + waiting)
    except SMTPException as broken:
        log.debug("message broke off", host=talk.host, why=str(broken))
        return await talk.interrupted()
    _tell("bdat", mender.mended, talk)
    return await chunks.ended(await talk.taken(), replies)


class _Chunks:
    """Chunks on their way.

    Attributes:
        unread: How many were sent whose reply was not read.
        refusal: The first reply that was no yes.
    """

    def __init__(self, talk: Talk, *, ahead: int) -> None:
        self.unread = 0
        self.refusal: Answer | None = None
        self._talk = talk
        self._ahead = ahead

    async def send(self, octets: bytes) -> None:
        """Send one that is not the last."""
        await self._talk.send(b"BDAT %d\r\n" % len(octets) + octets)
        self.unread += 1
        await self._read(self._ahead)

    async def ended(self, lost: Lost | None, replies: int) -> Sent:
        """Return how it came out, after the last one was sent, which has so many ``replies``."""
        await self._read(0)
        if self.refusal is None:
            return await _ended(self._talk, lost, replies)
        if replies:  # how many has a last chunk behind a refused one? RFC 2033 does not say
            self._talk.abort()
        else:
            await self._talk.answer(self._talk.patience.dot)
        return Sent(end=self.refusal)

    async def given_up(self) -> Sent:
        """Return how it came out, if no more are sent."""
        refusal = self.refusal
        await self._read(0)
        return Sent(content=refusal) if isinstance(refusal, Lost) else Sent(end=refusal)

    async def _read(self, left: int) -> None:
        """Read replies until only ``left`` are outstanding."""
        while self.unread > left:
            self.unread -= 1
            answer = await self._talk.answer(self._talk.patience.data)
            if self.refusal is None and not is_yes(answer):
                self.refusal = answer


async def _ended(talk: Talk, lost: Lost | None, replies: int) -> Sent:
    """Return what is said of the whole message, or to each of ``replies`` recipients."""
    if not replies:
        return Sent(end=lost or await talk.answer(talk.patience.dot))
    return Sent.by_lmtp([lost or await talk.answer(talk.patience.dot) for _ in range(replies)])


def _tell(command: str, mended: int, talk: Talk) -> None:
    _sent.labels(command).inc()
    if mended:
        log.warning("bare line ends mended", count=mended, host=talk.host)
