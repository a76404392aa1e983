"""Whether there is room for one more mail that is to be held (RFC 4865 §6 (2) to (5)).

What is held is counted when MAIL asks for more; those who ask at the same moment may exceed the
bounds by as many as they are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from ingress_smtp import replies, schedules
from ingress_smtp.replies import Reply
from posthouse.mail.errors import Unavailable
from posthouse.telemetry.logs import get_logger

Count: TypeAlias = Callable[[str], Awaitable[tuple[int, int]]]  # of an account, and in all
log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How many mails may be held at once.

    Attributes:
        account: Of one account.
        whole: Of all.
    """

    account: int = 1000
    whole: int = 100_000


@dataclass(frozen=True, slots=True)
class Holding:
    """Knows how much is held."""

    count: Count
    room: Room

    async def objection(self, account: str) -> Reply | None:
        """Return why no more of ``account`` can be held; 451 if that cannot be told now."""
        try:
            own, whole = await self.count(account)
        except Unavailable as trouble:
            log.warning("held mail not counted", reason=str(trouble))
            return replies.UNAVAILABLE
        if own >= self.room.account:
            return schedules.TOO_MANY_OF_YOURS
        return schedules.TOO_MANY if whole >= self.room.whole else None
