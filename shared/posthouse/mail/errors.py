"""Two failures, and only two: temporary and permanent.

What escapes otherwise is a bug of ours: it is logged with its traceback and treated as
temporary, because a bug of ours must never bounce somebody's mail (promise 6).
"""

from __future__ import annotations

from typing import ClassVar

from posthouse.mail.status import LOCAL_ERROR, Status


class MailFailure(Exception):
    """A failure that the sender, or the sender's server, may have to be told of.

    Attributes:
        public: Goes on the wire: no host, path or setting of ours.
        status: The reply that goes with it.
    """

    default: ClassVar[Status] = LOCAL_ERROR

    def __init__(self, public: str, *, status: Status | None = None, detail: str = "") -> None:
        super().__init__(detail or public)
        self.public = public
        self.status = status or self.default


class TemporaryFailure(MailFailure):
    """Trying again later may succeed (RFC 5321 §4.2.1, 4yz)."""


class PermanentFailure(MailFailure):
    """Trying again cannot help (RFC 5321 §4.2.1, 5yz)."""

    default = Status(554, (5, 0, 0))


class Unavailable(TemporaryFailure):
    """A part of our own house does not answer: PostgreSQL, object storage, the broker.

    It concerns us, never a message: consumers hold their work and try again with back-off,
    ingress answers 451, and no attempt is counted against any recipient.
    """


class AnswerLost(Unavailable):
    """It broke off while it was at work: what was asked for may have been done."""


class MissingObject(PermanentFailure):
    """The object of an accepted message is not in object storage; a human must look."""


class BadEnvelope(PermanentFailure):
    """An envelope on a road that cannot be read; a human must look."""
