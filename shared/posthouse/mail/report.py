"""What a report says: the values that `posthouse.mail.dsn` writes out (RFC 3464 §2)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias
from uuid import UUID

from posthouse.mail.status import Status

Action: TypeAlias = Literal["failed", "delayed", "delivered", "relayed", "expanded"]  # §2.3.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What happened to one recipient.

    Attributes:
        address: Where we tried to deliver (Final-Recipient).
        status: Why; its enhanced code goes into ``Status`` (RFC 3464 §2.3.4).
        reply: What the server outside said, or we of ourselves; empty where nothing is to be said.
        host: The server that said so, as ``name [address]``; empty if it was us.
        orcpt: The address the sender wrote, as it said in ORCPT (RFC 3461 §4.2); empty for none.
        action: What became of it; ``delayed`` is still being tried.
    """

    address: str
    status: Status
    reply: str = ""
    host: str = ""
    orcpt: str = ""
    action: Action = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that a report says.

    Attributes:
        id: The report's own id; makes its Message-ID and its boundary.
        host: Our name (Reporting-MTA).
        author: The address in From.
        made: When this report was written (UTC).
        to: Whom it is sent to.
        subject_id: The id of the message it speaks of.
        sender: The reverse path of that message; empty for a double bounce.
        arrived: When we took responsibility for that message (UTC).
        fates: One per recipient; never empty.
        original: The header octets of that message, or its beginning.
        content: The whole of that message, if all of it goes back to the sender.
        envid: The sender's name for the sending (RFC 3461 §4.4); empty for none.
        retry_until: When a delayed recipient is given up (RFC 3464 §2.3.9).
        deliver_by: When the sender wanted that message to have arrived (RFC 2852 §5); None for whenever.
        hold: How it was to be held before it started (RFC 4865 §5.1.2); empty for not at all.
        is_global: That message's sender used SMTPUTF8, so the report may (RFC 6533 §4).
    """

    id: UUID
    host: str
    author: str
    made: datetime
    to: str
    subject_id: UUID
    sender: str
    arrived: datetime
    fates: tuple[Fate, ...]
    original: bytes
    content: bytes | None = None
    envid: str = ""
    retry_until: datetime | None = None
    deliver_by: datetime | None = None
    hold: str = ""
    is_global: bool = False

    @property
    def action(self) -> Action:
        """What the report as a whole tells: the worst of it."""
        actions = [fate.action for fate in self.fates]
        return "failed" if "failed" in actions else actions[0]

    @property
    def message_id(self) -> str:
        """The Message-ID field's value."""
        return f"<{self.id}@{self.host}>"

    @property
    def smtputf8(self) -> bool:
        """True if the report itself needs SMTPUTF8: its recipient is no ASCII address."""
        return not self.to.isascii()

    @property
    def is_8bit(self) -> bool:
        """True if the report itself is not 7-bit: its header, or the message that goes back."""
        return self.smtputf8 or not (self.content is None or self.content.isascii())
