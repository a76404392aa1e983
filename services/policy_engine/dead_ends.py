"""Why an address leads nowhere, and what its sender is told. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from policy_engine.posting import NO_POSTER, NO_POSTER_TEXT
from posthouse.mail.status import DISABLED, NO_SUCH_USER, NOT_YOURS, Status
from posthouse.storage.suppressing import Reason

ROUTING_LOOP = Status(550, (5, 4, 6))  # RFC 3463 §3.5
BAD_TARGET = Status(550, (5, 1, 3))  # RFC 3463 §3.2
NOT_WANTED = Status(550, (5, 7, 1))  # RFC 3463 §3.8


@dataclass(frozen=True, slots=True)
class Dead:
    """Why an address leads nowhere; the text is for the sender."""

    status: Status
    text: str


MOVED = Status(550, (5, 1, 6))  # RFC 3463 §3.2: destination mailbox has moved

NOBODY = Dead(NO_SUCH_USER, "No such user here")
CLOSED = Dead(DISABLED, "Mailbox is disabled")
LOOP = Dead(ROUTING_LOOP, "The address leads back to itself")
NO_RIGHT = Dead(NOT_YOURS, "Sender address is not yours")
NO_ADDRESS = Dead(BAD_TARGET, "Not a mail address")
NO_POST = Dead(NO_POSTER, NO_POSTER_TEXT)
# The rule that each of these names is the suppression list.
SUPPRESSED: Mapping[Reason, Dead] = {
    "bounces": Dead(NO_SUCH_USER, "Suppression list: earlier mail to this address bounced"),
    "complaint": Dead(NOT_WANTED, "Suppression list: this recipient complained of earlier mail"),
    "manual": Dead(NOT_WANTED, "Suppression list: nothing is sent to this recipient"),
}


def moved(where: str) -> Dead:
    """Return what senders are told of somebody who is somewhere else now."""
    return Dead(MOVED, f"User has moved to {where}")
