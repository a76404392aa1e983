"""A message as one transaction hands it over, and what a server must offer for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from delivery_remote.return_paths import RECIPIENTS_AT_ONCE, Guise
from delivery_remote.transcript import Reply
from posthouse.mail.envelope import Body, InboundRecipient
from posthouse.mail.handling import PLAIN, Handling
from posthouse.mail.schedule import Deadline


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """What is handed over in one transaction.

    Attributes:
        sender: The reverse path; empty for ``<>``.
        recipients: To whom, at most 100 (RFC 5321 §4.5.3.1.8).
        size: Octets of the message, for SIZE (RFC 1870 §6).
        body: What its client declared.
        smtputf8: It cannot go without SMTPUTF8.
        handling: What its sender asks for.
        deadline: Until when it must have arrived; None for whenever.
        plain_header: The message itself can go without SMTPUTF8; only addresses may need it.
        guise: What servers see instead of the sender; None for the sender itself.
        pieces: Yields the octets, as often as it is called.
        confirm: Returns if the end of the message may still be sent; raises `MailFailure` if not.
    """

    sender: str
    recipients: tuple[InboundRecipient, ...]
    size: int
    body: Body
    smtputf8: bool
    handling: Handling = PLAIN
    deadline: Deadline | None = None
    plain_header: bool = False
    guise: Guise | None = None
    pieces: Callable[[], AsyncIterator[bytes]]
    confirm: Callable[[], Awaitable[None]]

    async def confirmed_pieces(self) -> AsyncIterator[bytes]:
        """Yield the octets, and end only if the end of the message may be sent."""
        async for piece in self.pieces():
            yield piece
        await self.confirm()

    @property
    def recipients_at_once(self) -> int:
        """How many recipients one transaction may have."""
        return self.guise.recipients_at_once if self.guise else RECIPIENTS_AT_ONCE

    def addressed(self, recipients: Sequence[InboundRecipient]) -> Mail:
        """Return it for ``recipients``, from the reverse path that servers see for these."""
        path = self.guise.path_for(recipients) if self.guise else self.sender
        return replace(self, recipients=tuple(recipients), sender=path)

    @property
    def must_stay_secret(self) -> bool:
        """True if it goes over TLS to a server that `Session.keeps_tls`, or not at all.

        A report goes all the same, over TLS where there is any (RFC 8689 §5).
        """
        return self.handling.requiretls and bool(self.sender)

    def objection_of(self, extensions: Mapping[str, str], *, is_final: bool) -> Reply | None:
        """Return why a server that offers these need not be asked, as the reply it would give.

        ``is_final``: it files the mail (LMTP), which is delivery, not relaying (RFC 2852 §1).
        """
        limit = extensions.get("size", "")
        if limit.isdecimal() and 0 < int(limit) < self.size:  # RFC 1870 §4: 0 is no limit
            return Reply(552, f"5.3.4 the message has {self.size} octets, the server takes {limit}")
        if self.smtputf8 and "smtputf8" not in extensions:  # RFC 6531 §3.2, §3.5
            return Reply(553, "5.6.7 the server does not take internationalized mail (SMTPUTF8)")
        return self._too_late_for(extensions, is_final=is_final)

    def _too_late_for(self, extensions: Mapping[str, str], *, is_final: bool) -> Reply | None:
        """Mode R goes on only to who keeps it, and has the time that takes (RFC 2852 §4.1.4.1)."""
        if self.deadline is None or not self.deadline.returns:
            return None
        least = extensions.get("deliverby", "" if is_final else None)
        if least is None:
            return Reply(554, "5.4.7 the server does not promise delivery in time (DELIVERBY)")
        left = self.deadline.left(datetime.now(UTC))
        if left < _least_seconds(least):
            return Reply(554, f"5.4.7 the time that is left is too short for the server: {left} s")
        return None


def _least_seconds(parameter: str) -> int:
    """Return the min-by-time: ``[1*9DIGIT] *("," extension-token)`` (RFC 2852 §2 (3)); one without."""
    least = parameter.partition(",")[0]
    return max(1, int(least)) if least.isdecimal() else 1
