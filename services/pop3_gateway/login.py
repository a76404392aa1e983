"""Logging in: names and passwords become an open maildrop, or a reply (RFC 1939 §7, RFC 5034)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from pop3_gateway.house import House
from pop3_gateway.maildrops import Opened
from posthouse.credentials.exchange import Accepted, Channel, Failed, Identity
from posthouse.credentials.failures import pause_after
from posthouse.mail.errors import Unavailable
from posthouse.storage.mailboxes import NoSuchMailbox
from posthouse.storage.maildrop import InUse
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

Exchange: TypeAlias = Callable[[Channel], Awaitable[Accepted | Failed]]

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

    async def enter(self, converse: Exchange, channel: Channel) -> Opened | Refusal:
        """Find out who it is, then lock and open the maildrop. A wrong proof is answered late."""
        failures = self.house.failures
        try:
            end = await failures.unless_too_many(self.peer, lambda: converse(channel))
            if end is None:
                return self._blocked()
            if isinstance(end, Failed):
                return await self._without_proof(end)
            return await self._with_proof(end.identity)
        except Unavailable as trouble:
            log.warning("login not possible", peer=self.peer, reason=str(trouble))
            return _counted(_AWAY, "unavailable")

    def _blocked(self) -> Refusal:
        self.failures = self.house.limits.login_failures  # and so the connection ends
        return _counted(_TOO_OFTEN, "blocked")

    async def _with_proof(self, identity: Identity) -> Opened | Refusal:
        try:
            opened = await self.house.maildrops.open(identity.account_id)
        except InUse:
            return _counted(_BUSY, "in_use")
        except NoSuchMailbox:  # the account went in between
            return await self._wrong()
        _logins.labels("ok").inc()
        log.info("logged in", user=identity.address, peer=self.peer)
        return opened

    async def _without_proof(self, failed: Failed) -> Refusal:
        match failed.reason:
            case "unknown mechanism":
                return _counted(_UNKNOWN, "malformed")
            case "cancelled":
                return _counted(_CANCELLED, "cancelled")
            case _:
                return await self._wrong()

    async def _wrong(self) -> Refusal:
        self.failures += 1
        number = self.house.failures.add(self.peer)
        log.info("login refused", peer=self.peer, failures=number)
        # Guessing costs the guesser time; the connection limits bound how many guess at once.
        await asyncio.sleep(pause_after(number, self.house.limits.login_delay))
        return _counted(WRONG, "wrong")


def _counted(refusal: Refusal, result: str) -> Refusal:
    _logins.labels(result).inc()
    return refusal
