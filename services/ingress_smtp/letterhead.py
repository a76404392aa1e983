"""The letterhead: what one message gets on top, and the id that stands in it."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from ingress_smtp import stamps
from ingress_smtp.stamps import Arrival
from posthouse.mail.ids import new_id


class Letterhead:
    """Of one message.

    Attributes:
        arrival: What is known of the message.
        ident: Its id; made when its header is whole, as is the time that our fields tell.
    """

    def __init__(self, arrival: Arrival, hostname: str) -> None:
        self.arrival = arrival
        self.ident: UUID | None = None
        self._hostname = hostname

    def over(self, content: bytes) -> bytes:
        """Return ``content`` as it is stored, below our own fields.

        It is the whole message or, of a large one, its beginning with all of its header.
        """
        arrival, host, now = self.arrival, self._hostname, datetime.now(UTC)
        self.ident = ident = new_id()
        fields = stamps.received(arrival, hostname=host, ident=ident, now=now)
        fields += stamps.authentication_results(arrival, hostname=host)
        if arrival.is_submission:
            fields += stamps.missing_fields(content, hostname=host, ident=ident, now=now)
        if empty_line := stamps.separator(content):
            return fields + empty_line + content
        return fields + stamps.without_forged_results(content, hostname=host)
