"""Who is this? Passwords verified with patience that runs out (RFC 4954, RFC 4616 §6).

A failure costs the client time, each one more than the last, and after a few the session; a client
network that fails again and again is not verified at all for a while, so that guessing costs us
nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from ingress_smtp import replies
from ingress_smtp.replies import Reply
from posthouse.credentials.failures import Failures, pause_after
from posthouse.credentials.passwords import Credential
from posthouse.credentials.sasl import Attempt, Failed
from posthouse.mail.address import BadAddress, parse_address
from posthouse.mail.errors import TemporaryFailure
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

_LOGINS = counter("posthouse_ingress_logins_total", "Attempts to authenticate.", "outcome")
log = get_logger()

_REASONS: dict[str, Reply] = {
    "unknown mechanism": replies.AUTH_UNKNOWN,
    "cancelled": replies.AUTH_CANCELLED,
    "malformed": replies.AUTH_MALFORMED,
    "not authorized": replies.AUTH_WRONG,
}


class Passwords(Protocol):
    """What this room needs of `posthouse.credentials.passwords.Verifier`."""

    async def verify(self, address: str, password: str) -> Credential | None:
        """Return the account if the password is right; raise `Unavailable` in an outage."""


@dataclass(frozen=True, slots=True)
class Login:
    """What came of an attempt: the reply, and the account if it succeeded."""

    reply: Reply
    account: str = ""


class Authentication:
    """Verifies attempts for all sessions."""

    def __init__(
        self, passwords: Passwords, *, penalty: timedelta, failures: Failures | None = None
    ) -> None:
        self._passwords = passwords
        self._penalty = penalty
        self._failures = failures or Failures()

    async def login(self, attempt: Attempt | Failed, client: str) -> Login:
        """Return what the client is told, after a pause if it failed."""
        if isinstance(attempt, Failed):
            return Login(_REASONS[attempt.reason])
        if self._failures.are_too_many(client):
            _LOGINS.labels("blocked").inc()
            return Login(replies.AUTH_TOO_OFTEN)
        try:
            account = await self._verified(attempt)
        except TemporaryFailure:
            _LOGINS.labels("unavailable").inc()
            return Login(replies.AUTH_UNAVAILABLE)
        if account is not None:
            _LOGINS.labels("succeeded").inc()
            return Login(replies.OK_AUTHENTICATED, account.address)
        number = self._failures.add(client)
        _LOGINS.labels("failed").inc()
        log.warning("login failed", client=client, failures=number)
        await asyncio.sleep(pause_after(number, self._penalty))
        return Login(replies.AUTH_WRONG)

    async def _verified(self, attempt: Attempt) -> Credential | None:
        try:
            address = parse_address(attempt.user).key
        except BadAddress:  # cannot be an account, but must cost as much as one
            address = ""
        return await self._passwords.verify(address, attempt.password)
