"""What the parts of one SMTP session share: the conversation so far, and the house behind it."""

from __future__ import annotations

from dataclasses import dataclass, field

from ingress_smtp.authentication import Authentication
from ingress_smtp.contents import Contents
from ingress_smtp.draft import Draft
from ingress_smtp.exchange import Exchange, Wire
from ingress_smtp.holding import Holding
from ingress_smtp.intake import Acceptance
from ingress_smtp.limits import Limits
from ingress_smtp.reception import Reception
from ingress_smtp.recipients import Gate
from ingress_smtp.releases import Releases
from ingress_smtp.replies import Reply
from ingress_smtp.steps import State

SAID = Reply(b"")  # what was to be said has been said


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """The parts that all sessions share.

    Attributes:
        contents: Asks what becomes of whole messages.
        holding: Knows how much mail is held.
        releases: Carries out ETRN; None where nobody may ask.
    """

    gate: Gate
    acceptance: Acceptance
    authentication: Authentication
    reception: Reception
    contents: Contents
    holding: Holding
    limits: Limits = field(default_factory=Limits)
    releases: Releases | None = None


@dataclass(slots=True, kw_only=True)
class Conversation:
    """One client's session, for those who carry out its commands.

    Attributes:
        wire: Its connection.
        talk: The octets that come and go.
        house: See `House`.
        state: Where the session stands.
        messages: How many were accepted.
        fruitless: Replies since the last one on the way to no message.
        failed_logins: How many attempts to authenticate went wrong.
        owed: How often the next reply is due: once, in LMTP behind a message once for each
            recipient (RFC 2033 §4.2).
        draft: The message that is being received.
    """

    wire: Wire
    talk: Exchange
    house: House
    state: State
    messages: int = 0
    fruitless: int = 0
    failed_logins: int = 0
    owed: int = 1
    draft: Draft | None = None

    def tidy(self) -> None:
        """Give back what the message of a transaction that has ended had taken."""
        if self.draft is not None and self.state.mail is None:
            self.draft.close()
            self.draft = None
