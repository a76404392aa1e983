"""The one place that knows who somebody is: mechanisms offered, exchanges driven, links asked.

    client ◀─▶ mechanism (pure) ─▶ attempt ─▶ link, link, … ─▶ Identity

Links are asked in their order. One that does not know this kind of attempt says None; the first
that accepts has the word; a refusal stands if nobody accepts. A link in an outage is not a refusal:
if nobody else accepts, the client is told to come again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from posthouse.credentials import exchange
from posthouse.credentials.exchange import (
    Accepted,
    Attempt,
    Challenge,
    Channel,
    Failed,
    Mechanism,
    Password,
    Question,
    Refused,
    Verdict,
)
from posthouse.mail.errors import Unavailable
from posthouse.telemetry.logs import get_logger

MAX_LOGGED_CHARACTERS = 256

_SAYING = frozenset({"PLAIN", "LOGIN"})
log = get_logger()

Ask: TypeAlias = Callable[[bytes], Awaitable[bytes]]


class Link(Protocol):
    """Somebody who can judge: our accounts, an LDAP directory, an issuer of tokens."""

    async def judge(self, attempt: Attempt, channel: Channel) -> Verdict | None:
        """Return the verdict, None for an attempt that is not ours to judge.

        Raises `Unavailable` if that cannot be found out now.
        """


class Witness(Protocol):
    """Somebody who hears of logins."""

    def __call__(self, user: str, channel: Channel, *, is_right: bool) -> None:
        """Hear that ``user`` entered, or that somebody failed under that name."""


def _nobody(user: str, channel: Channel, *, is_right: bool) -> None:
    """Hear nothing."""


@dataclass(frozen=True, slots=True)
class Authenticator:
    """What a service needs to let people in.

    Attributes:
        mechanisms: Those that the operator wants, the best first.
        links: Those who judge, in their order.
        witness: Hears how each exchange ended; must not take time.
    """

    mechanisms: Sequence[Mechanism]
    links: Sequence[Link]
    witness: Witness = _nobody

    def offered(self, channel: Channel) -> tuple[str, ...]:
        """Return the names of the mechanisms that can succeed on ``channel``; none in the clear."""
        if not channel.is_private:
            return ()
        return tuple(one.name for one in self.mechanisms if one.is_possible(channel))

    def takes_passwords(self, channel: Channel) -> bool:
        """True if a name and a password may come by a command of the protocol's own."""
        return any(name in _SAYING for name in self.offered(channel))

    async def converse(
        self, mechanism: str, initial: bytes | None, channel: Channel, ask: Ask
    ) -> Accepted | Failed:
        """Run the exchange of ``mechanism`` (any case) to its end.

        Args:
            mechanism: Its name, as the client wrote it.
            initial: The initial response in base64; None if there is none.
            channel: What is known of the connection.
            ask: Sends a challenge in base64 and returns the client's next line.

        Raises:
            Unavailable: Nobody can be asked now.
        """
        name = mechanism.upper()
        if name not in self.offered(channel):
            return Failed("unknown mechanism")
        [chosen] = [one for one in self.mechanisms if one.name == name]
        step, user = exchange.start(chosen, initial, channel), ""
        while isinstance(step, Challenge | Question):
            if isinstance(step, Challenge):
                step = exchange.answer(step, await ask(step.wire))
            else:
                user = step.attempt.user
                step = step.then(await self.judge(step.attempt, channel))
        return self._ended(step, user, name, channel)

    async def log_in(self, user: str, password: str, channel: Channel) -> Accepted | Failed:
        """Judge a name and a password that came without SASL; raise as `converse` does."""
        verdict = await self.judge(Password(user=user, password=password), channel)
        step = verdict if isinstance(verdict, Accepted) else Failed("wrong")
        return self._ended(step, user, "none", channel)

    def _ended(
        self, end: Accepted | Failed, user: str, mechanism: str, channel: Channel
    ) -> Accepted | Failed:
        """Tell who was let in, and who was not."""
        if isinstance(end, Accepted):
            self.witness(end.identity.address, channel, is_right=True)
        elif end.reason in {"wrong", "not authorized"}:
            _log_refusal(end, user, mechanism, channel)
            if user:
                self.witness(user, channel, is_right=False)
        return end

    async def judge(self, attempt: Attempt, channel: Channel) -> Verdict:
        """Ask the links; raise `Unavailable` if none accepts and one could not be asked."""
        verdict: Verdict | None = None
        outage: Unavailable | None = None
        for link in self.links:
            try:
                found = await link.judge(attempt, channel)
            except Unavailable as trouble:
                outage = outage or trouble
                continue
            if found is not None and not isinstance(found, Refused):
                return found
            verdict = verdict or found
        if outage is not None:
            raise outage
        return verdict or Refused()


def _log_refusal(end: Failed, user: str, mechanism: str, channel: Channel) -> None:
    """Log who was not let in; the services log who was."""
    log.warning(
        "credentials refused",
        user=user[:MAX_LOGGED_CHARACTERS],
        mechanism=mechanism,
        service=channel.service,
        client=channel.client,
        reason=end.reason,
    )
