"""Logging in: names and passwords become an open maildrop, or a reply (RFC 1939 §7, RFC 5034)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pop3_gateway.house import House
from pop3_gateway.maildrops import Opened
from posthouse.credentials.sasl import Attempt, Failed
from posthouse.mail.errors import Unavailable
from posthouse.storage.mailboxes import NoSuchMailbox
from posthouse.storage.maildrop import InUse
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

log = get_logger()
_logins = counter("posthouse_pop3_logins_total", "Logins, by what became of them.", "result")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Not logged in.

    Attributes:
        text: For the client.
        code: A response code (RFC 3206, RFC 2449 §8.1.1), or empty.
    """

    text: str
    code: str = ""


WRONG = Refusal("Authentication failed", "AUTH")
_TOO_OFTEN = Refusal("Too many failed logins, try again later", "SYS/TEMP")
_AWAY = Refusal("Please try again later", "SYS/TEMP")
_BUSY = Refusal("Another session has this maildrop", "IN-USE")
_UNKNOWN = Refusal("Unknown mechanism")
_CANCELLED = Refusal("Cancelled")


@dataclass(slots=True)
class Login:
    """The attempts of one connection.

    Attributes:
        house: Whom to ask.
        peer: The client's address, for the log.
        failures: So many attempts were wrong.
    """

    house: House
    peer: str
    failures: int = 0

    @property
    def is_over(self) -> bool:
        """True if this connection has guessed often enough."""
        return self.failures >= self.house.limits.login_failures

    async def attempt(self, attempt: Attempt | Failed) -> Opened | Refusal:
        """Verify, then lock and open the maildrop. A wrong password is answered late."""
        if self.house.failures.are_too_many(self.peer):
            self.failures = self.house.limits.login_failures  # and so the connection ends
            return _counted(_TOO_OFTEN, "blocked")
        if isinstance(attempt, Failed):
            return await self._without_proof(attempt)
        return await self._with_proof(attempt)

    async def _with_proof(self, attempt: Attempt) -> Opened | Refusal:
        try:
            opened = await self._open(attempt)
        except InUse:
            return _counted(_BUSY, "in_use")
        except Unavailable as trouble:
            log.warning("login not possible", peer=self.peer, reason=str(trouble))
            return _counted(_AWAY, "unavailable")
        if opened is None:
            return await self._wrong(attempt.user)
        _logins.labels("ok").inc()
        log.info("logged in", user=attempt.user, peer=self.peer)
        return opened

    async def _open(self, attempt: Attempt) -> Opened | None:
        """Return the maildrop, None if the password is wrong."""
        credential = await self.house.verify(attempt.user, attempt.password)
        if credential is None:
            return None
        try:
            return await self.house.maildrops.open(credential.account_id)
        except NoSuchMailbox:  # the account went in between
            return None

    async def _without_proof(self, failed: Failed) -> Refusal:
        match failed.reason:
            case "unknown mechanism":
                return _counted(_UNKNOWN, "malformed")
            case "cancelled":
                return _counted(_CANCELLED, "cancelled")
            case _:
                return await self._wrong("")

    async def _wrong(self, user: str) -> Refusal:
        self.failures += 1
        self.house.failures.add(self.peer)
        log.info("login refused", user=user, peer=self.peer, failures=self.failures)
        # Guessing costs the guesser time; the connection limits bound how many guess at once.
        delay = self.house.limits.login_delay.total_seconds() * 2 ** (self.failures - 1)
        await asyncio.sleep(delay)
        return _counted(WRONG, "wrong")


def _counted(refusal: Refusal, result: str) -> Refusal:
    _logins.labels(result).inc()
    return refusal
