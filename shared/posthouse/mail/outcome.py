"""What became of one recipient: the values that delivery hands to the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from posthouse.mail.status import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Relayed:
    """A server outside took responsibility.

    Attributes:
        n: The recipient's number in the ledger.
        host: The server that said so, with its address.
        reply: Its reply to the end of DATA.
        tls: How secure the session was, and by which policy, in words.
        tells: It knows what the sender wants to be told, and will do so (RFC 3461 §5.2.1).
        keeps_time: It knows until when the mail must have arrived (RFC 2852 §4.1.4).
        is_final: It is where the recipient reads it: its sender hears "delivered" (RFC 3464 §2.3.3).
    """

    n: int
    host: str
    reply: str
    tls: str = ""
    tells: bool = False
    keeps_time: bool = False
    is_final: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred:
    """It did not work yet.

    Attributes:
        n: The recipient's number in the ledger.
        status: Why, as a 4yz status.
        reply: What the server outside said, or we of ourselves.
        host: Who said so; empty if nobody was reached.
        until: When the next attempt is planned.
    """

    n: int
    status: Status
    reply: str
    host: str = ""
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounced:
    """It will never work; the sender is told (unless the sender is null).

    Attributes:
        n: The recipient's number in the ledger.
        status: Why, as a 5yz status, or 4yz when time ran out.
        reply: What the server outside said, or we of ourselves.
        host: Who said so; empty if it was us.
    """

    n: int
    status: Status
    reply: str
    host: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Discarded:
    """Thrown away by a rule that has a name.

    Attributes:
        n: The recipient's number in the ledger.
        rule: The rule's name.
    """

    n: int
    rule: str


Outcome: TypeAlias = Relayed | Deferred | Bounced | Discarded
