"""What a session says and hears: each wait has its time, each loss becomes an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiosmtplib.errors import SMTPException

from delivery_remote.session.line import Line
from delivery_remote.session.manners import Patience
from delivery_remote.transcript import Answer, Lost, Reply, is_farewell


@dataclass(slots=True)
class Talk:
    """One connection on which a session goes on.

    Attributes:
        line: The connection.
        patience: How long we wait.
        host: Who is at the other end, for the log.
        is_over: Nothing more can be said.
    """

    line: Line
    patience: Patience
    host: str
    is_over: bool = False

    async def answer(self, seconds: float) -> Answer:
        """Return the next reply, or why there is none."""
        try:
            answer: Answer = self.line.reply_of(await self.line.read_response(seconds))
        except SMTPException as broken:
            answer = Lost(str(broken))
        if is_farewell(answer):
            self.is_over = True
        return answer

    async def send(self, octets: bytes) -> None:
        """Write a piece of a message, and wait until the server has taken most of it.

        Raises:
            SMTPException: The connection broke, or the server takes nothing.
        """
        self.line.write(octets)
        await self.line.drained(self.patience.block)

    async def taken(self) -> Lost | None:
        """Wait until the server has taken the end of a message; return why it has not."""
        try:
            await self.line.drained(self.patience.block)
        except SMTPException as broken:
            self.is_over = True
            return None if self.line.has_unread else Lost(str(broken))
        return None

    async def interrupted(self) -> Sent:
        """The server spoke, or went, before the end: what it said, which can be no yes."""
        answer = await self.answer(self.patience.quit)
        self.abort()
        if isinstance(answer, Lost):
            return Sent(content=answer)
        return Sent(end=answer if answer.code >= 400 else Reply(451, str(answer)))  # noqa: PLR2004 - 4yz and 5yz

    def abort(self) -> None:
        """Cut the connection."""
        self.is_over = True
        self.line.abort()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """How the sending of a message's octets came out; see `Transcript`."""

    content: Lost | None = None
    end: Answer | None = None
    ends: tuple[Answer, ...] = ()

    @classmethod
    def by_lmtp(cls, ends: Sequence[Answer]) -> Sent:
        """Return it with a reply for each recipient."""
        lost = next((each for each in ends if isinstance(each, Lost)), None)
        return cls(end=lost or ends[0], ends=tuple(ends))
