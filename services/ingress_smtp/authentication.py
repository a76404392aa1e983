"""Who is this? Asked with patience that runs out (RFC 4954, RFC 4616 §6).

A failure costs the client time, each one more than the last, and after a few the session; a client
network that fails again and again is not verified at all for a while, so that guessing costs us
nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from ingress_smtp import replies
from ingress_smtp.commands import Auth
from ingress_smtp.exchange import Wire
from ingress_smtp.replies import Reply
from posthouse.credentials.authenticator import Ask, Authenticator
from posthouse.credentials.exchange import Accepted, Channel, Failed
from posthouse.credentials.failures import Failures, pause_after
from posthouse.mail.errors import TemporaryFailure
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

_LOGINS = counter("posthouse_ingress_logins_total", "Attempts to authenticate.", "outcome")
log = get_logger()

_REASONS: dict[str, Reply] = {
    "unknown mechanism": replies.AUTH_UNKNOWN,
    "cancelled": replies.AUTH_CANCELLED,
    "malformed": replies.AUTH_MALFORMED,
}


@dataclass(frozen=True, slots=True)
class Login:
    """What came of an attempt: the reply, and the account if it succeeded."""

    reply: Reply
    account: str = ""


class Authentication:
    """Lets people in, for all sessions."""

    def __init__(
        self,
        authenticator: Authenticator,
        *,
        penalty: timedelta,
        failures: Failures | None = None,
    ) -> None:
        self._authenticator = authenticator
        self._penalty = penalty
        self._failures = failures or Failures()

    def offered(self, wire: Wire) -> tuple[str, ...]:
        """Return the mechanisms that can succeed on this connection."""
        return self._authenticator.offered(channel_of(wire))

    async def login(self, command: Auth, wire: Wire, ask: Ask) -> Login:
        """Run the exchange and return what the client is told, after a pause if it failed.

        Raises what ``ask`` does, which sends a challenge and returns the client's answer.
        """
        channel, converse = channel_of(wire), self._authenticator.converse
        try:
            end = await self._failures.unless_too_many(
                channel.client, lambda: converse(command.mechanism, command.initial, channel, ask)
            )
        except TemporaryFailure:
            _LOGINS.labels("unavailable").inc()
            return Login(replies.AUTH_UNAVAILABLE)
        return _blocked() if end is None else await self._judged(end, wire.client)

    async def _judged(self, end: Accepted | Failed, client: str) -> Login:
        if isinstance(end, Accepted):
            _LOGINS.labels("succeeded").inc()
            return Login(replies.OK_AUTHENTICATED, end.identity.address)
        if end.reason in _REASONS:
            return Login(_REASONS[end.reason])
        number = self._failures.add(client)
        _LOGINS.labels("failed").inc()
        log.warning("login failed", client=client, failures=number)
        await asyncio.sleep(pause_after(number, self._penalty))
        return Login(replies.AUTH_WRONG)


def _blocked() -> Login:
    _LOGINS.labels("blocked").inc()
    return Login(replies.AUTH_TOO_OFTEN)


def channel_of(wire: Wire) -> Channel:
    """Return what is known of a connection."""
    return Channel(service="smtp", client=wire.client, tls=wire.tls)
