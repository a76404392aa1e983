"""What holds for all sessions of one listener."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeAlias

from ingress_smtp import replies
from ingress_smtp.courtesies import Courtesies
from ingress_smtp.replies import Reply
from ingress_smtp.schedules import NO_SCHEDULES, Schedules
from posthouse.mail.networks import NOWHERE, Networks

NO_COURTESIES = Courtesies()
Role: TypeAlias = Literal["mx", "submission", "lmtp"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What holds for all sessions of one listener.

    Attributes:
        hostname: How we call ourselves.
        role: ``submission`` demands authentication and takes mail for anywhere; ``lmtp`` speaks
            LMTP (RFC 2033).
        tls: STARTTLS can be offered.
        message_octets_max: Larger messages are refused (RFC 1870).
        recipients_max: More per transaction are refused (RFC 5321 §4.5.3.1.8 asks 100).
        greeting: What stands behind 220, our name first; empty for the usual.
        greet_delay: A stranger has to wait so long for it, and must be silent.
        greet_at_once: Those who need not wait.
        xclients: Those who may say for whom they speak.
        courtesies: What is done besides taking mail.
        schedules: When mail may start, and must have arrived.
    """

    hostname: str
    role: Role
    tls: bool
    message_octets_max: int
    recipients_max: int
    greeting: str = ""
    greet_delay: timedelta = timedelta()
    greet_at_once: Networks = NOWHERE
    xclients: Networks = NOWHERE
    courtesies: Courtesies = NO_COURTESIES
    schedules: Schedules = NO_SCHEDULES

    def opening(self) -> Reply:
        """Build the first reply of a session (RFC 5321 §4.2; RFC 2033 §4 for LMTP)."""
        protocol = "LMTP" if self.role == "lmtp" else "ESMTP"
        return replies.say("220 " + (self.greeting or f"{self.hostname} {protocol} Posthouse"))
