"""The letterhead: what one message gets on top, and the id that stands in it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from ingress_smtp import stamps
from ingress_smtp.replies import Reply
from ingress_smtp.stamps import Arrival
from ingress_smtp.submission import Edits, amended
from posthouse.mail.header import header_end
from posthouse.mail.ids import new_id


class Examiner(Protocol):
    """What a letterhead needs of `authorship.Authorship`."""

    async def examine(self, arrival: Arrival, header: bytes) -> Reply | Edits:
        """Return what is to be changed in a submission's header, or why it is refused."""


class Letterhead:
    """Of one message.

    Attributes:
        arrival: What is known of the message.
        ident: Its id; made when its header is whole, as is the time that our fields tell.
    """

    def __init__(self, arrival: Arrival, hostname: str, examiner: Examiner | None = None) -> None:
        self.arrival = arrival
        self.ident: UUID | None = None
        self._hostname = hostname
        self._examiner = examiner if arrival.is_submission else None

    async def over(self, content: bytes) -> bytes | Reply:
        """Return ``content`` as it is stored, below our own fields; or why it is refused.

        It is the whole message or, of a large one, its beginning with all of its header.
        """
        if self._examiner is not None:
            content = stamps.separator(content) + content
            end = header_end(content)
            edits = await self._examiner.examine(self.arrival, content[:end])
            if isinstance(edits, Reply):
                return edits
            content = amended(content[:end], edits) + content[end:]
        return self._stamped(content)

    def _stamped(self, content: bytes) -> bytes:
        arrival, host, now = self.arrival, self._hostname, datetime.now(UTC)
        self.ident = ident = new_id()
        fields = stamps.received(arrival, hostname=host, ident=ident, now=now)
        fields += stamps.authentication_results(arrival, hostname=host)
        if arrival.is_submission:
            fields += stamps.missing_fields(content, hostname=host, ident=ident, now=now)
        if empty_line := stamps.separator(content):
            return fields + empty_line + content
        return fields + stamps.without_forged_results(content, hostname=host)
