"""Who is this? Passwords verified with patience that runs out (RFC 4954, RFC 4616 §6).

A failure costs the client time and, after a few, the session; a client address that fails again
and again is not verified at all for a while, so that guessing costs us nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from ingress_smtp import replies
from ingress_smtp.replies import Reply
from posthouse.credentials.passwords import Credential
from posthouse.credentials.sasl import Attempt, Failed
from posthouse.mail.address import BadAddress, parse_address
from posthouse.mail.errors import TemporaryFailure
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

MAX_FAILURES_PER_CLIENT = 50  # in the window below; an office behind one address needs some
WINDOW = timedelta(minutes=10)
MAX_CLIENTS = 10_000

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


@dataclass(slots=True)
class Failures:
    """Counts failures per client address, for a while and for a bounded number of clients."""

    clock: Callable[[], float] = time.monotonic
    _counts: OrderedDict[str, tuple[float, int]] = field(default_factory=OrderedDict)

    def count(self, client: str) -> int:
        """Return how often ``client`` failed within the window."""
        until, number = self._counts.get(client, (0.0, 0))
        return number if until > self.clock() else 0

    def add(self, client: str) -> None:
        """Count one more."""
        number = self.count(client)
        self._counts[client] = (self.clock() + WINDOW.total_seconds(), number + 1)
        self._counts.move_to_end(client)
        if len(self._counts) > MAX_CLIENTS:
            self._counts.popitem(last=False)


class Authentication:
    """Verifies attempts for all sessions."""

    def __init__(self, passwords: Passwords, *, penalty: timedelta) -> None:
        self._passwords = passwords
        self._penalty = penalty
        self._failures = Failures()

    async def login(self, attempt: Attempt | Failed, client: str) -> Login:
        """Return what the client is told, after a pause if it failed."""
        if isinstance(attempt, Failed):
            return Login(_REASONS[attempt.reason])
        if self._failures.count(client) >= MAX_FAILURES_PER_CLIENT:
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
        self._failures.add(client)
        _LOGINS.labels("failed").inc()
        log.warning("login failed", client=client)
        await asyncio.sleep(self._penalty.total_seconds())
        return Login(replies.AUTH_WRONG)

    async def _verified(self, attempt: Attempt) -> Credential | None:
        try:
            address = parse_address(attempt.user).key
        except BadAddress:  # cannot be an account, but must cost as much as one
            address = ""
        return await self._passwords.verify(address, attempt.password)
